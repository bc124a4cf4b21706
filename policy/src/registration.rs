//! Registered nodes: machines and people who may have certificates on an administrator's earlier word.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::grant::{MAX_TEXT, few, is_short};
use crate::name::Name;
use crate::profile::{Pattern, Refusal, is_common_name};

/// What a node is called: 1 to 64 printable characters (ub-common-name, RFC 5280 appendix A.1), no space
/// at either end, and at most 200 octets. Where it is a DNS name or an address, it is one of the node's
/// names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommonName(String);

/// The text cannot be a common name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a common name is 1 to 64 printable characters, without a space at either end")]
pub struct CommonNameError;

/// What an administrator registered: who a node is, and what it may have. Short enough for a journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What it is called, and what its certificates call it where their profile lets them.
    pub common_name: CommonName,
    /// Names that it may have beside its own.
    #[serde(default, deserialize_with = "few")]
    pub names: Vec<Pattern>,
    /// The profile of its certificates.
    #[serde(deserialize_with = "profile")]
    pub profile: String,
    /// The ACME account that is its own, if it has one: the thumbprint of its key (RFC 7638).
    #[serde(default)]
    pub account: Option<Thumbprint>,
}

/// The thumbprint of an account's key: SHA-256, base64url (RFC 7638 section 3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(String);

/// The text is no thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the thumbprint of an account's key is 43 characters of base64url: the last part of the account's URL in uPKI's form"
)]
pub struct ThumbprintError;

impl Registration {
    /// Whether the node may have certificates for `name`.
    pub fn allows_name(&self, name: &Name) -> Result<(), Refusal> {
        if self.covers(name) {
            return Ok(());
        }
        let why = format!("the node `{}` is not registered for {name}", self.common_name);
        Err(Refusal { name: Some(name.clone()), rule: None, why })
    }

    /// Whether `name` is one of its names.
    pub fn covers(&self, name: &Name) -> bool {
        self.common_name.name().as_ref() == Some(name) || self.names.iter().any(|pattern| pattern.covers(name))
    }
}

impl CommonName {
    /// Reads a common name. One that is a DNS name but for its case is written in lower case.
    pub fn parse(text: &str) -> Result<Self, CommonNameError> {
        let lower = text.to_ascii_lowercase();
        match is_common_name(text) && text.len() <= MAX_OCTETS {
            true if Name::parse(&lower).is_ok_and(|_| text.contains('.')) => Ok(Self(lower)),
            true => Ok(Self(text.to_owned())),
            false => Err(CommonNameError),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The DNS name or address that it is, if it is one.
    pub fn name(&self) -> Option<Name> {
        Name::parse(&self.0).ok()
    }
}

impl Thumbprint {
    /// Reads a thumbprint.
    pub fn parse(text: &str) -> Result<Self, ThumbprintError> {
        let base64url = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        match text.len() == 43 && text.bytes().all(base64url) {
            true => Ok(Self(text.to_owned())),
            false => Err(ThumbprintError),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CommonName {
    type Error = CommonNameError;

    fn try_from(text: String) -> Result<Self, CommonNameError> {
        Self::parse(&text)
    }
}

impl From<CommonName> for String {
    fn from(name: CommonName) -> Self {
        name.0
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = ThumbprintError;

    fn try_from(text: String) -> Result<Self, ThumbprintError> {
        Self::parse(&text)
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.0
    }
}

/// With `node:` before it, it is a text that the journal takes as an actor.
const MAX_OCTETS: usize = 200;

fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match !text.is_empty() && is_short(&text) {
        true => Ok(text),
        false => Err(de::Error::custom(format!("the name of a profile is a line of 1 to {MAX_TEXT} octets"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(common_name: &str, names: &[&str]) -> Registration {
        Registration {
            common_name: CommonName::parse(common_name).unwrap(),
            names: names.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
            profile: "server".to_owned(),
            account: None,
        }
    }

    #[test]
    fn a_node_may_have_its_own_name_and_those_it_is_registered_for() {
        let node = registration("web-1.example.test", &["www.example.test", ".web-1.example.test", "192.0.2.0/24"]);
        let allows = |name: &str| node.allows_name(&Name::parse(name).unwrap());
        for name in ["web-1.example.test", "www.example.test", "a.web-1.example.test", "192.0.2.7"] {
            assert_eq!(allows(name), Ok(()), "{name}");
        }
        for name in ["web-2.example.test", "*.example.test", "192.0.3.1"] {
            let refusal = allows(name).unwrap_err();
            assert!(refusal.why.contains("`web-1.example.test` is not registered for"), "{}", refusal.why);
        }
        assert!(registration("Jane Doe", &[]).allows_name(&Name::parse("jane.test").unwrap()).is_err());
    }

    #[test]
    fn a_common_name_is_printable_and_a_dns_name_in_it_is_lower_case() {
        for (text, kept) in
            [("Web-1.Example.test", "web-1.example.test"), ("Jane Doe", "Jane Doe"), ("Backup", "Backup")]
        {
            assert_eq!(CommonName::parse(text).unwrap().as_str(), kept);
        }
        let long = "x".repeat(65);
        let octets = "\u{1f600}".repeat(51);
        for text in ["", " x", "a\nb", "a\u{202e}b", &long, &octets] {
            assert!(CommonName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_registration_reads_back_what_it_writes_and_nothing_else() {
        let mut node = registration("web-1.example.test", &["www.example.test"]);
        node.account = Some(Thumbprint::parse(&"a".repeat(43)).unwrap());
        let text = toml::to_string(&node).unwrap();
        assert_eq!(toml::from_str::<Registration>(&text).unwrap(), node);
        for wrong in [
            "common_name = ''\nprofile = 'server'",
            "common_name = 'a.test'\nprofile = ''",
            "common_name = 'a.test'\nprofile = 'server'\nmore = 1",
            "common_name = 'a.test'\nprofile = 'server'\naccount = 'short'",
            "common_name = 'a.test'\nprofile = 'server'\nnames = ['.*.b']",
        ] {
            assert!(toml::from_str::<Registration>(wrong).is_err(), "{wrong}");
        }
    }
}
