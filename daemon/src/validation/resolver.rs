//! Names to addresses, asked afresh for every attempt.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use policy::name::DnsName;

use super::{Failure, FailureKind, Retry};

/// Most addresses of a name that are tried.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Asks DNS.
pub(super) struct Resolver {
    inner: Result<TokioResolver, String>,
}

impl Resolver {
    /// Asks `servers`, or those of /etc/resolv.conf when there are none, each for at most `limit`.
    pub(super) fn new(servers: &[SocketAddr], limit: Duration) -> Self {
        let servers = if servers.is_empty() { system_servers() } else { servers.to_vec() };
        let servers = servers.into_iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        // What was true a minute ago proves nothing now, and /etc/hosts is not DNS.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.timeout = limit / 2;
        options.attempts = 2;
        options.try_tcp_on_error = true;
        Self { inner: builder.build().map_err(|error| error.to_string()) }
    }

    /// The addresses of `name`, IPv6 before IPv4; at least one.
    pub(super) async fn addresses(&self, name: &DnsName) -> Result<Vec<IpAddr>, Failure> {
        let failure = |why: String| Failure::new(FailureKind::Dns, Retry::Yes, why);
        let resolver =
            self.inner.as_ref().map_err(|why| failure(format!("the resolver of this server does not work: {why}")))?;
        // The dot keeps the resolver from trying search domains.
        match resolver.lookup_ip(format!("{name}.")).await {
            Ok(found) => {
                let found: Vec<IpAddr> = found.iter().take(MAX_ADDRESSES).collect();
                if found.is_empty() {
                    Err(failure(format!("{name} has neither an A nor an AAAA record")))
                } else {
                    Ok(found)
                }
            }
            Err(error) if error.is_nx_domain() => Err(failure(format!("{name} does not exist in DNS (NXDOMAIN)"))),
            Err(error) if error.is_no_records_found() => {
                Err(failure(format!("{name} has neither an A nor an AAAA record")))
            }
            Err(error) => Err(failure(format!("the addresses of {name} could not be looked up: {error}"))),
        }
    }
}

/// The `nameserver` lines of resolv.conf(5); the local host if there are none, as the manual says.
fn system_servers() -> Vec<SocketAddr> {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = nameservers(&file);
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
    }
    servers
}

fn nameservers(file: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    };
    file.lines().filter_map(address).map(|address| SocketAddr::new(address, 53)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nameserver_lines_of_resolv_conf_are_read() {
        let file =
            "# nameserver 1.1.1.1\nsearch example\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 x\nnameserver no\n";
        assert_eq!(nameservers(file), ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
    }
}
