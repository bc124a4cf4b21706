//! DNS, asked afresh for every attempt.
//!
//! hickory's pool of name servers sends the questions (UDP, then TCP when an answer is truncated or
//! UDP fails) and, if wanted, validates the answers with DNSSEC. Aliases are followed here, so that
//! a chain that is too long is a failure and not an empty answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverOpts};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, RetryDnsHandle};
use hickory_resolver::proto::dnssec::{DnssecSummary, Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use policy::name::DnsName;

use super::caa::CaaRecord;
use super::chain::{Chain, MAX_ALIASES, Step};
use super::failure::printable;
use super::{Failure, FailureKind, Retry};
use crate::config::{Dnssec, Validation};

/// Most addresses of a name that are tried.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Times that a name server is asked before it counts as silent.
const ATTEMPTS: usize = 2;

/// Asks DNS.
pub(super) struct Resolver {
    handle: Result<Handle, String>,
    options: DnsRequestOptions,
}

type Pool = RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>;

#[derive(Clone)]
enum Handle {
    Plain(Pool),
    Validating(Box<DnssecDnsHandle<Pool>>),
}

/// What DNS says to one question.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// There are records, at least one.
    Records(Records<T>),
    /// There are none; the words say whether the name exists.
    Nothing(&'static str),
}

/// Records of one name and type.
#[derive(Debug)]
pub(super) struct Records<T> {
    /// What they say.
    pub(super) values: Vec<T>,
    /// The name that has them, if an alias led there.
    pub(super) alias: Option<String>,
    /// Seconds for which they may be relied on, aliases included.
    pub(super) ttl: u32,
}

/// A lookup that gave no answer, one half of a sentence: "the TXT records of … could not be looked up: …".
#[derive(Debug)]
pub(super) struct Trouble(pub(super) String);

impl Resolver {
    /// Asks the configured servers, or those of /etc/resolv.conf when there are none, each for at
    /// most `limit`.
    pub(super) fn new(config: &Validation, limit: Duration) -> Self {
        let servers = match config.resolvers.as_slice() {
            [] => system_servers(),
            servers => servers.to_vec(),
        };
        let servers = servers.into_iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let mut options = ResolverOpts::default();
        // What was true a minute ago proves nothing now, and /etc/hosts is not DNS.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = limit / 2;
        options.attempts = ATTEMPTS;
        options.try_tcp_on_error = true;
        options.validate = config.dnssec != Dnssec::Off;
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.recursion_desired = true;
        request.edns_payload_len = options.edns_payload_len;
        request.edns_set_dnssec_ok = options.validate;
        let handle = TlsConfig::new().map_err(|error| error.to_string()).and_then(|tls| {
            let context = Arc::new(PoolContext::new(options, tls));
            let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
            let pool = RetryDnsHandle::new(pool, ATTEMPTS);
            Ok(match anchors(&config.dnssec)? {
                None => Handle::Plain(pool),
                Some(anchors) => {
                    Handle::Validating(Box::new(DnssecDnsHandle::with_trust_anchor(pool, Arc::new(anchors))))
                }
            })
        });
        Self { handle, options: request }
    }

    /// The addresses of `name`, IPv6 before IPv4; at least one.
    pub(super) async fn addresses(&self, name: &DnsName) -> Result<Vec<IpAddr>, Failure> {
        let failure = |why: String| Failure::new(FailureKind::Dns, Retry::Yes, why);
        let six = self.records(name.as_str(), RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        let four = self.records(name.as_str(), RecordType::A, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        let (six, four) = tokio::join!(six, four);
        let mut addresses = Vec::new();
        let mut nothing = "it does not exist";
        let mut trouble = None;
        for answer in [six, four] {
            match answer {
                Ok(Answer::Records(records)) => addresses.extend(records.values),
                Ok(Answer::Nothing(why)) => nothing = why,
                Err(why) => trouble = Some(why),
            }
        }
        addresses.truncate(MAX_ADDRESSES);
        match (addresses.is_empty(), trouble) {
            (false, _) => Ok(addresses),
            (true, Some(Trouble(why))) => {
                Err(failure(format!("the addresses of {name} could not be looked up: {why}")))
            }
            (true, None) => Err(failure(format!("{name} has neither an A nor an AAAA record: {nothing}"))),
        }
    }

    /// The TXT records of `name`, each with its strings joined.
    pub(super) async fn txt(&self, name: &str) -> Result<Answer<Vec<u8>>, Trouble> {
        self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// The CAA records of `name` itself.
    pub(super) async fn caa(&self, name: &str) -> Result<Answer<CaaRecord>, Trouble> {
        self.records(name, RecordType::CAA, |data| match data {
            RData::CAA(caa) => {
                Some(CaaRecord { critical: caa.issuer_critical, tag: caa.tag.clone(), value: caa.value.clone() })
            }
            _ => None,
        })
        .await
    }

    /// One question, aliases followed.
    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, Trouble> {
        // The dot says that the name is whole.
        let asked = Name::from_ascii(format!("{name}."))
            .map_err(|_| Trouble(format!("`{}` is no name for DNS", printable(name, 64))))?;
        let mut chain = Chain::new(asked, kind);
        loop {
            let (records, code) = self.exchange(chain.owner(), kind).await?;
            match chain.step(&records) {
                Step::Found(found) => {
                    let values = found.into_iter().filter_map(|record| read(&record.data)).collect();
                    return Ok(Answer::Records(Records { values, alias: chain.alias(), ttl: chain.ttl() }));
                }
                Step::Moved if code != ResponseCode::NXDomain => {}
                Step::Moved | Step::Nothing => {
                    return Ok(Answer::Nothing(if code == ResponseCode::NXDomain {
                        "it does not exist (NXDOMAIN)"
                    } else {
                        "it has other records only, or none (NODATA)"
                    }));
                }
                Step::TooLong => {
                    let last = chain.alias().unwrap_or_default();
                    return Err(Trouble(format!("more than {MAX_ALIASES} aliases (CNAME), the last {last}")));
                }
            }
        }
    }

    /// The answer section and the response code, which is NOERROR or NXDOMAIN.
    async fn exchange(&self, name: &Name, kind: RecordType) -> Result<(Vec<Record>, ResponseCode), Trouble> {
        let query = Query::query(name.clone(), kind);
        let handle =
            self.handle.as_ref().map_err(|why| Trouble(format!("the resolver of this server does not work: {why}")))?;
        let answered = match handle {
            Handle::Plain(pool) => pool.lookup(query, self.options).first_answer().await,
            Handle::Validating(handle) => handle.lookup(query, self.options).first_answer().await,
        };
        // What the pool passed as an answer can still say that there is none.
        let answered = answered.and_then(|response| DnsError::from_response(response).map_err(NetError::from));
        let (records, code) = match answered {
            Ok(response) => (response.answers.clone(), response.response_code),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                if none.ns.is_some() && none.soa.is_none() {
                    return Err(Trouble("the resolver refers to other servers instead of asking them".to_owned()));
                }
                (Vec::new(), none.response_code)
            }
            Err(NetError::Dns(DnsError::Nsec { proof: Proof::Bogus, .. } | DnsError::DnssecBogus)) => {
                return Err(bogus());
            }
            // A signed or provably unsigned "there is none".
            Err(NetError::Dns(DnsError::Nsec { response, .. })) => {
                if DnssecSummary::from_records(response.authorities.iter()) == DnssecSummary::Bogus {
                    return Err(bogus());
                }
                (response.answers.clone(), response.response_code)
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => {
                return Err(Trouble(format!("the resolver answered {}", word(code))));
            }
            Err(NetError::Timeout) => return Err(Trouble("the resolver did not answer in time".to_owned())),
            Err(error) => return Err(Trouble(printable(&error.to_string(), 200))),
        };
        if matches!(handle, Handle::Validating(_))
            && DnssecSummary::from_records(records.iter()) == DnssecSummary::Bogus
        {
            return Err(bogus());
        }
        match code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok((records, code)),
            code => Err(Trouble(format!("the resolver answered {}", word(code)))),
        }
    }
}

/// A response code as operators know it (RFC 8499 section 3).
fn word(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        code => format!("with the code {}", u16::from(code)),
    }
}

fn bogus() -> Trouble {
    Trouble("the answer does not pass DNSSEC validation (bogus): look at the signatures of its zone".to_owned())
}

/// The keys that validation begins with; `None` without DNSSEC.
fn anchors(dnssec: &Dnssec) -> Result<Option<TrustAnchors>, String> {
    let own: &[String] = match dnssec {
        Dnssec::Off => return Ok(None),
        Dnssec::Root => &[],
        Dnssec::Anchors(records) => records,
    };
    let mut anchors = TrustAnchors::default();
    for record in own {
        let entries = Parser::new(record.as_str()).parse();
        for entry in entries.map_err(|error| format!("`{record}` is no DNSKEY record: {error}"))? {
            match entry {
                Entry::DNSKEY(key) => anchors.insert_with_name(key.data().public_key(), key.name().into()),
                _ => return Err(format!("`{record}` is no DNSKEY record")),
            };
        }
    }
    Ok(Some(anchors))
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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
mod tests;
