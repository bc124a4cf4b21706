//! Connections of validations: every address is checked, and the very address that was checked is
//! connected to, so no second lookup can lead elsewhere.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use policy::evidence::Observation;
use policy::name::Name;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failure, FailureKind, Retry, Validator, cut, step};

/// A connection, and how it came to be.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    /// The address that was checked and answered.
    pub(super) address: SocketAddr,
    /// What DNS said, if it was asked.
    dns: Option<String>,
}

impl Connected {
    /// For the authorization's record.
    pub(super) fn observation(&self) -> Observation {
        Observation { address: Some(self.address.to_string()), dns: self.dns.clone() }
    }
}

/// Connects to one of the allowed addresses of `host`, the first that answers. `what` begins the
/// sentences of failures.
pub(super) async fn connect(
    validator: &Validator,
    host: &Name,
    port: u16,
    what: &(impl Display + Sync),
) -> Result<Connected, Failure> {
    let (addresses, dns) = match host {
        Name::Dns(name) => {
            let addresses = validator.resolver.addresses(name).await?;
            let dns = cut(&format!("{}: {name}", list(&addresses)));
            (addresses, Some(dns))
        }
        Name::Ip(address) => (vec![*address], None),
    };
    let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| validator.config.allowed_networks.allows(*address));
    if allowed.is_empty() {
        let has = match host {
            Name::Dns(_) => format!("{host} has no address that this server may connect to; it has {}", list(&refused)),
            Name::Ip(_) => format!("{host} is no address that this server may connect to"),
        };
        return Err(Failure::new(FailureKind::Unauthorized, Retry::No, format!("{what}: {has}")));
    }
    let mut tried = Vec::new();
    for address in allowed {
        let address = SocketAddr::new(address, port);
        match timeout(step(validator.config.timeout), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Connected { stream, address, dns }),
            Ok(Err(error)) => tried.push(format!("{address}: {error}")),
            Err(_) => tried.push(format!("{address}: not in time")),
        }
    }
    let detail = format!("{what}: no connection was made ({})", tried.join("; "));
    Err(Failure::new(FailureKind::Connection, Retry::Yes, detail))
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}
