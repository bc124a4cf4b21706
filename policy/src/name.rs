//! Names that a certificate may carry: DNS names (wildcards included) and IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::punycode;

/// A DNS name in A-label form, lower case, without a trailing dot; the first label may be `*`.
/// RFC 5280 section 4.2.1.6, RFC 1034 section 3.5, RFC 5890.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum Name {
    /// dNSName
    Dns(DnsName),
    /// iPAddress, written as in RFC 5952
    Ip(IpAddr),
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text breaks a rule for DNS names.
    #[error("`{name}` is not a DNS name: {why}")]
    Dns {
        /// The text, cut to a safe length.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The text is not the canonical form of an IP address (RFC 5952).
    #[error("`{0}` is not an IP address in canonical form")]
    Ip(String),
}

impl DnsName {
    /// Checks the syntax: 1 to 253 octets, labels of 1 to 63 letters, digits and hyphens (none at
    /// either end), lower case, not an IP address, `*` only as the whole first label of at least
    /// three, `xn--` labels that decode and encode again to themselves. A single label such as
    /// `localhost` is a name; whether it may be certified is for the profile to say.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(NameError::Dns { name: excerpt(text), why }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without a leading `*.`: what is validated (RFC 8555 section 7.1.3).
    pub fn base(&self) -> DnsName {
        DnsName(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }
}

impl Name {
    /// Reads an IP address in canonical form, or else a DNS name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.parse::<IpAddr>() {
            Ok(address) if address.to_string() == text => Ok(Self::Ip(address)),
            Ok(_) => Err(NameError::Ip(excerpt(text))),
            // No DNS name holds a colon: whoever wrote one meant an address.
            Err(_) if text.contains(':') => Err(NameError::Ip(excerpt(text))),
            Err(_) => DnsName::parse(text).map(Self::Dns),
        }
    }

    /// The name without a leading `*.`: what is validated (RFC 8555 section 7.1.3).
    pub fn base(&self) -> Name {
        match self {
            Self::Dns(name) => Self::Dns(name.base()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }

    /// Whether this is a DNS name whose first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.is_wildcard())
    }

    /// Whether every host means itself by it: `localhost`, `127.0.0.1` and `::1`, and nothing else.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Dns(name) => name.as_str() == "localhost",
            Self::Ip(address) => {
                [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].contains(address)
            }
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for DnsName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0
    }
}

/// Longest DNS name in octets without the trailing dot, RFC 1034 section 3.1.
const MAX_NAME: usize = 253;

/// Longest label in octets, RFC 1034 section 3.1.
const MAX_LABEL: usize = 63;

/// The first rule that `text` breaks.
fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_NAME {
        return Some("it is longer than 253 octets");
    }
    if !text.is_ascii() {
        return Some("write it in its ASCII form (labels that start with xn--)");
    }
    if text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Some("write it in lower case");
    }
    if text.ends_with('.') {
        return Some("write it without the trailing dot");
    }
    let base = text.strip_prefix("*.").unwrap_or(text);
    if base.contains('*') {
        return Some("`*` may only be the whole first label");
    }
    if base.len() != text.len() && !base.contains('.') {
        return Some("a wildcard needs at least two labels after `*`");
    }
    if let Some(why) = base.split('.').find_map(broken_label_rule) {
        return Some(why);
    }
    // A name that ends in a number is read as an IPv4 address by some (WHATWG URL section 3.5).
    let last = base.rsplit('.').next().unwrap_or(base);
    let is_hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if last.bytes().all(|octet| octet.is_ascii_digit()) || is_hexadecimal {
        return Some("its last label is a number, as in an IP address");
    }
    None
}

/// The first rule that a label (not `*`) breaks.
fn broken_label_rule(label: &str) -> Option<&'static str> {
    if label.is_empty() {
        return Some("it has an empty label");
    }
    if label.len() > MAX_LABEL {
        return Some("it has a label longer than 63 octets");
    }
    if !label.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-') {
        return Some("a label holds only letters, digits and hyphens");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some("a label neither starts nor ends with a hyphen");
    }
    if label.as_bytes().get(2..4) == Some(b"--") {
        let Some(encoded) = label.strip_prefix("xn--") else {
            return Some("hyphens in the third and fourth place are reserved (RFC 5890 section 2.3.1)");
        };
        if !punycode::is_canonical(encoded) {
            return Some("it has a label that starts with xn-- and is not punycode (RFC 3492)");
        }
    }
    None
}

/// The start of a foreign text, safe to show: printable and short.
fn excerpt(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn why(text: &str) -> &'static str {
        match DnsName::parse(text) {
            Err(NameError::Dns { why, .. }) => why,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn dns_names_of_an_internal_network_are_accepted() {
        let longest_label = format!("{}.test", "a".repeat(63));
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        for text in [
            "localhost",
            "ca",
            "a.example.test",
            "*.example.test",
            "1.example.test",
            "3com.test",
            "xn--bcher-kva.example.test",
            "*.xn--bcher-kva.test",
            "xn--80ak6aa92e.test",
            "a--b.test",
            longest_label.as_str(),
            longest.as_str(),
        ] {
            assert_eq!(DnsName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_rule_for_dns_names_is_enforced() {
        let long_label = format!("{}.test", "a".repeat(64));
        let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62));
        for (text, fragment) in [
            ("", "empty"),
            (long.as_str(), "253"),
            ("b\u{fc}cher.test", "ASCII"),
            ("A.test", "lower case"),
            ("a.test.", "trailing dot"),
            ("a*.test", "whole first label"),
            ("a.*.test", "whole first label"),
            ("*.*.test", "whole first label"),
            ("*", "whole first label"),
            ("*.test", "two labels"),
            ("*.", "trailing dot"),
            ("a..test", "empty label"),
            (".test", "empty label"),
            (long_label.as_str(), "63"),
            ("a_b.test", "letters, digits"),
            ("a b.test", "letters, digits"),
            ("a\0.test", "letters, digits"),
            ("-a.test", "hyphen"),
            ("a-.test", "hyphen"),
            ("ab--c.test", "reserved"),
            ("xn--a.test", "punycode"),
            ("xn--.test", "hyphen"),
            ("xn--abc-.test", "hyphen"),
            ("xn--99999999.test", "punycode"),
            ("10.0.0.1", "number"),
            ("a.0x7f", "number"),
            ("a.0x", "number"),
            ("7", "number"),
        ] {
            assert!(why(text).contains(fragment), "{text:?}: {}", why(text));
        }
    }

    #[test]
    fn ip_addresses_are_read_in_canonical_form_only() {
        for text in ["192.0.2.1", "2001:db8::1", "::1", "::ffff:192.0.2.1"] {
            assert_eq!(Name::parse(text).unwrap().to_string(), text);
        }
        for text in ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "0:0::1", "fe80::1%eth0", "a:b"] {
            assert!(matches!(Name::parse(text), Err(NameError::Ip(_))), "{text}");
        }
        for text in ["192.0.2.01", "192.0.2", "256.0.0.1"] {
            assert!(matches!(Name::parse(text), Err(NameError::Dns { .. })), "{text}");
        }
    }

    #[test]
    fn the_base_of_a_wildcard_is_what_is_validated() {
        let name = DnsName::parse("*.example.test").unwrap();
        assert!(name.is_wildcard());
        assert_eq!(name.base().as_str(), "example.test");
        assert!(!name.base().is_wildcard());
    }

    #[test]
    fn errors_show_a_short_printable_excerpt() {
        let text = format!("\n\u{1b}[31m{}", "A".repeat(10_000));
        let message = DnsName::parse(&text).unwrap_err().to_string();
        assert!(message.len() < 200 && !message.chars().any(char::is_control), "{message}");
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC{0,300}") {
            let _ = Name::parse(&text);
        }

        #[test]
        fn an_accepted_name_is_its_own_canonical_form(text in "(\\*\\.)?[a-z0-9.-]{1,20}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text.clone());
                prop_assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
            }
        }

        #[test]
        fn addresses_survive_writing_and_reading(octets in any::<[u8; 16]>()) {
            let name = Name::Ip(IpAddr::from(octets));
            prop_assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
        }
    }
}
