//! Whom a limit counts: an account, an address (a network, rather), a registered name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy::name::{DnsName, Name};
use policy::notary::Email;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Limits;

/// What an administrator asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account, by its id: of ACME, or of the Notary dialect by its e-mail address.
    Account(String),
    /// A client's address.
    Address(IpAddr),
    /// A name that is ordered.
    Name(DnsName),
}

/// Which kind of subject something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "SubjectKind")]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An account.
    Account,
    /// A client's address.
    Address,
    /// A name that is ordered.
    Name,
}

/// The text is none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an account (its URL, or the last part of it) nor an address nor a name")]
pub struct SubjectError(String);

impl Subject {
    /// Reads what an administrator typed: an IP address, an account's e-mail address, its URL or the
    /// last part of one, or a DNS name. Names have a dot, or are the few that need none.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        if let Ok(email) = Email::parse(text) {
            return Ok(Self::Account(email.folded()));
        }
        if let Ok(name) = DnsName::parse(text)
            && (text.contains('.') || text == "localhost")
        {
            return Ok(Self::Name(name));
        }
        let id = text.rsplit('/').next().unwrap_or_default();
        let is_id = !id.is_empty()
            && id.len() <= MAX_ID
            && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
        if is_id { Ok(Self::Account(id.to_owned())) } else { Err(SubjectError(text.chars().take(64).collect())) }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Account(_) => Kind::Account,
            Self::Address(_) => Kind::Address,
            Self::Name(_) => Kind::Name,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(id) => f.write_str(id),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Limits {
    /// As what an address is counted, if it is.
    pub(super) fn counted(&self, from: Option<IpAddr>) -> Option<String> {
        let from = from?.to_canonical();
        let exempt = self.rules.exempt_networks.iter().any(|network| network.contains(from));
        (!exempt).then(|| self.network(from))
    }

    /// The network that counts as one address.
    pub(super) fn network(&self, address: IpAddr) -> String {
        match network_of(address, self.rules.ipv4_prefix, self.rules.ipv6_prefix) {
            (address, prefix) if prefix == width(address) => address.to_string(),
            (address, prefix) => format!("{address}/{prefix}"),
        }
    }

    /// The registered name that a name counts for.
    pub(super) fn registered(&self, name: &Name) -> String {
        match name {
            Name::Dns(name) => last_labels(name.as_str(), self.rules.name_labels).to_owned(),
            Name::Ip(address) => self.network(*address),
        }
    }
}

/// The first address of the network of `address`, and the length of its prefix.
fn network_of(address: IpAddr, ipv4_prefix: u8, ipv6_prefix: u8) -> (IpAddr, u8) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(ipv4_prefix)).unwrap_or(0);
            (Ipv4Addr::from_bits(address.to_bits() & mask).into(), ipv4_prefix)
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix)).unwrap_or(0);
            (Ipv6Addr::from_bits(address.to_bits() & mask).into(), ipv6_prefix)
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The last `count` labels of a name, a wildcard's asterisk left out.
fn last_labels(name: &str, count: usize) -> &str {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let start = name.rmatch_indices('.').nth(count - 1).map_or(0, |(dot, _)| dot + 1);
    &name[start..]
}

/// Longest id of an account; a thumbprint has 43 characters.
const MAX_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_types_is_an_address_a_name_or_an_account() {
        for (text, expected) in [
            ("192.0.2.1", Subject::Address("192.0.2.1".parse().unwrap())),
            ("2001:db8::1", Subject::Address("2001:db8::1".parse().unwrap())),
            ("a.example.test", Subject::Name(DnsName::parse("a.example.test").unwrap())),
            ("*.example.test", Subject::Name(DnsName::parse("*.example.test").unwrap())),
            ("Ops@example.com", Subject::Account("ops@example.com".into())),
            ("MDEyMzQ1Njc4OWFiY2RlZg", Subject::Account("MDEyMzQ1Njc4OWFiY2RlZg".into())),
            ("https://ca.test/acme/account/x_-1", Subject::Account("x_-1".into())),
        ] {
            assert_eq!(Subject::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "a b", "https://ca.test/acme/account/", "ü.test", &"x".repeat(65)] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_share_their_last_labels_count_together() {
        for (name, labels, expected) in [
            ("a.b.example.test", 3, "b.example.test"),
            ("b.example.test", 3, "b.example.test"),
            ("*.b.example.test", 3, "b.example.test"),
            ("*.example.test", 3, "example.test"),
            ("example.test", 3, "example.test"),
            ("localhost", 3, "localhost"),
            ("a.b.example.test", 1, "test"),
            ("a.b.example.test", 2, "example.test"),
        ] {
            assert_eq!(last_labels(name, labels), expected, "{name} {labels}");
        }
    }

    #[test]
    fn addresses_of_one_network_count_together_and_mapped_ones_as_what_they_are() {
        let network = |address: &str, v4, v6| {
            let (address, prefix) = network_of(address.parse().unwrap(), v4, v6);
            format!("{address}/{prefix}")
        };
        assert_eq!(network("192.0.2.77", 32, 64), "192.0.2.77/32");
        assert_eq!(network("192.0.2.77", 24, 64), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.77", 24, 64), "192.0.2.0/24");
        assert_eq!(network("2001:db8:1:2:3:4:5:6", 32, 64), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2:3:4:5:6", 32, 128), "2001:db8:1:2:3:4:5:6/128");
    }
}
