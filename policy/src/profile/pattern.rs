//! Patterns of names that a profile or a grant permits or excludes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::name::{DnsName, Name};

/// One pattern, written `host.example.test`, `.example.test`, `*` or `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// `*`: every DNS name.
    AnyDns,
    /// `host.example.test`: this name alone.
    Exact(DnsName),
    /// `10.0.0.0/8`: the addresses of this network.
    Network {
        /// The first of them.
        address: IpAddr,
        /// How many leading bits they share.
        prefix: u8,
    },
    /// `.example.test`: every name below this one, at any depth, wildcards included.
    Suffix(String),
}

impl Pattern {
    /// Reads a pattern; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::AnyDns);
        }
        if let Some(base) = text.strip_prefix('.') {
            return match DnsName::parse(base) {
                Ok(name) if !name.is_wildcard() => Ok(Self::Suffix(text.to_owned())),
                Ok(_) => Err(format!("`{text}` mixes two patterns; write `.{}`", &base[2..])),
                Err(error) => Err(error.to_string()),
            };
        }
        if let Some((address, prefix)) = text.split_once('/') {
            return network(address, prefix).ok_or_else(|| {
                format!("`{text}` is not a network; write its first address and the length of its prefix, as in `10.0.0.0/8`")
            });
        }
        match Name::parse(text) {
            Ok(name) => Ok(Self::of(&name)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The pattern of this name alone.
    pub fn of(name: &Name) -> Self {
        match name {
            Name::Dns(name) => Self::Exact(name.clone()),
            Name::Ip(address) => Self::Network { address: *address, prefix: width(*address) },
        }
    }

    /// Whether `name` lies in the pattern.
    pub fn covers(&self, name: &Name) -> bool {
        match (self, name) {
            (Self::AnyDns, Name::Dns(_)) => true,
            (Self::Exact(exact), Name::Dns(name)) => exact == name,
            (Self::Network { address, prefix }, Name::Ip(ip)) => {
                first_of_network(*ip, *prefix) == Some(*address) && address.is_ipv4() == ip.is_ipv4()
            }
            (Self::Suffix(suffix), Name::Dns(name)) => name.as_str().ends_with(suffix.as_str()),
            _ => false,
        }
    }

    /// Whether a certificate for `name` would speak for a name in the pattern: beyond
    /// [`Self::covers`], a wildcard speaks for each name one label below its base, and an
    /// IPv4-mapped address (RFC 4291 section 2.5.5.2) is another spelling of an IPv4 address.
    pub(super) fn touches(&self, name: &Name) -> bool {
        let speaks_for = match (self, name) {
            (Self::Network { .. }, Name::Ip(address)) => self.covers(&Name::Ip(address.to_canonical())),
            (Self::Exact(exact), Name::Dns(name)) if name.is_wildcard() => {
                exact.as_str().split_once('.').is_some_and(|(_, base)| base == name.base().as_str())
            }
            _ => false,
        };
        speaks_for || self.covers(name)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyDns => f.write_str("*"),
            Self::Exact(name) => name.fmt(f),
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
            Self::Suffix(suffix) => f.write_str(suffix),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

fn network(address: &str, prefix: &str) -> Option<Pattern> {
    let Ok(Name::Ip(address)) = Name::parse(address) else { return None };
    let prefix: u8 = prefix.parse().ok()?;
    (first_of_network(address, prefix) == Some(address)).then_some(Pattern::Network { address, prefix })
}

/// The first address of the network with this prefix length that `address` lies in.
fn first_of_network(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let host_bits = u32::from(width(address).checked_sub(prefix)?);
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
    })
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().covers(&Name::parse(name).unwrap())
    }

    fn touches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().touches(&Name::parse(name).unwrap())
    }

    #[test]
    fn patterns_cover_what_they_say() {
        assert!(covers("a.example.test", "a.example.test"));
        assert!(!covers("a.example.test", "b.a.example.test"));
        assert!(covers(".example.test", "a.example.test"));
        assert!(covers(".example.test", "b.a.example.test"));
        assert!(covers(".example.test", "*.example.test"));
        assert!(!covers(".example.test", "example.test"));
        assert!(!covers(".example.test", "anexample.test"));
        assert!(covers("*", "localhost") && covers("*", "*.a.test"));
        assert!(!covers("*", "192.0.2.1"));
        assert!(covers("10.0.0.0/8", "10.255.0.1") && !covers("10.0.0.0/8", "11.0.0.0"));
        assert!(covers("192.0.2.1", "192.0.2.1") && !covers("192.0.2.1", "192.0.2.2"));
        assert!(covers("0.0.0.0/0", "192.0.2.1") && !covers("0.0.0.0/0", "::1"));
        assert!(covers("::/0", "2001:db8::1") && !covers("::/0", "0.0.0.0"));
        assert!(covers("fd00::/8", "fd12::1") && !covers("fd00::/8", "fe80::1"));
    }

    #[test]
    fn a_wildcard_touches_the_names_it_speaks_for() {
        assert!(touches("secret.example.test", "*.example.test"));
        assert!(!touches("a.secret.example.test", "*.example.test"));
        assert!(!touches(".secret.example.test", "*.example.test"));
        assert!(touches(".example.test", "*.example.test"));
    }

    #[test]
    fn a_mapped_address_touches_the_network_of_the_address_it_spells() {
        assert!(touches("10.0.0.0/8", "::ffff:10.0.0.1") && !touches("10.0.0.0/8", "::ffff:11.0.0.1"));
        assert!(touches("::/0", "::ffff:10.0.0.1") && !covers("10.0.0.0/8", "::ffff:10.0.0.1"));
    }

    #[test]
    fn malformed_patterns_are_refused_with_advice() {
        for (text, advice) in [
            ("10.0.0.1/8", "first address"),
            ("10.0.0.0/33", "first address"),
            ("10.0.0.0/x", "first address"),
            (".*.example.test", "write `.example.test`"),
            (".Example.test", "lower case"),
            ("Example.test", "lower case"),
            ("", "empty"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
