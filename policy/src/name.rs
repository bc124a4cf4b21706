//! Names that a certificate may carry: DNS names (wildcards included) and IP addresses.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
    /// either end), lower case, at least two labels, not an IP address, `*` only as the whole first
    /// label, `xn--` labels that decode.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let _ = text;
        unimplemented!()
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
        let _ = text;
        unimplemented!()
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
