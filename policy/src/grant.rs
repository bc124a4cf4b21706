//! What an external account key grants to the ACME accounts that are bound to it (RFC 8555 section
//! 7.3.4), and an API token to who shows it: it narrows what the profiles allow, and never widens it.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::effects::UnixTime;
use crate::name::Name;
pub use crate::profile::Pattern;
use crate::profile::Refusal;
use crate::rights::TokenRights;

/// The terms of one external account key. Each text and list is short enough for a journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// For whom or what the key is, in words.
    #[serde(deserialize_with = "short")]
    pub label: String,
    /// Names that may be ordered; empty for every name that a profile permits.
    #[serde(deserialize_with = "few")]
    pub names: Vec<Pattern>,
    /// Profiles that may be ordered from; empty for every profile that is offered.
    #[serde(deserialize_with = "few_profiles")]
    pub profiles: Vec<String>,
    /// Most orders of all its accounts together.
    pub orders: Option<u64>,
    /// Most certificates of all its accounts together.
    pub certificates: Option<u64>,
    /// Last second in which an account can be bound to it.
    pub expires: Option<UnixTime>,
    /// How many accounts can be bound to it.
    pub reuse: Reuse,
    /// Whether rate limits hold for its accounts.
    pub limits: RateLimits,
}

/// The terms of one API token. Each text and list is short enough for a journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenGrant {
    /// For whom or what the token is, in words.
    #[serde(deserialize_with = "short")]
    pub owner: String,
    /// What it may do.
    pub rights: TokenRights,
    /// Names that it may have certified; empty for every name that a profile permits.
    #[serde(deserialize_with = "few")]
    pub names: Vec<Pattern>,
    /// Profiles that it may have certificates from; empty for every profile.
    #[serde(deserialize_with = "few_profiles")]
    pub profiles: Vec<String>,
    /// Last second in which it is taken.
    pub expires: Option<UnixTime>,
}

/// How many accounts can be bound to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reuse {
    /// Any number.
    Many,
    /// One; then its MAC key is forgotten.
    Once,
}

/// Whether rate limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateLimits {
    /// They do.
    Apply,
    /// They do not.
    Exempt,
}

impl Grant {
    /// Whether it grants certificates for `name`.
    pub fn allows_name(&self, name: &Name) -> Result<(), Refusal> {
        allows_name("the account's external account key", &self.names, name)
    }

    /// Whether it grants certificates from the profile of this name.
    pub fn allows_profile(&self, profile: &str) -> Result<(), Refusal> {
        allows_profile("the account's external account key", &self.profiles, profile)
    }
}

impl TokenGrant {
    /// Whether it grants certificates for `name`.
    pub fn allows_name(&self, name: &Name) -> Result<(), Refusal> {
        allows_name("the token", &self.names, name)
    }

    /// Whether it grants certificates from the profile of this name.
    pub fn allows_profile(&self, profile: &str) -> Result<(), Refusal> {
        allows_profile("the token", &self.profiles, profile)
    }
}

/// Most patterns, and most profiles, of one grant.
pub const MOST: usize = 100;

/// Longest label, and longest name of a profile, in octets.
pub const MAX_TEXT: usize = 128;

/// How many granted patterns or profiles a refusal names.
const SHOWN: usize = 10;

fn allows_name(what: &str, names: &[Pattern], name: &Name) -> Result<(), Refusal> {
    if names.is_empty() || names.iter().any(|pattern| pattern.covers(name)) {
        return Ok(());
    }
    let granted: Vec<String> = names.iter().take(SHOWN).map(Pattern::to_string).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let why = format!("{what} does not grant {name}, but {}{more}", granted.join(", "));
    Err(Refusal { name: Some(name.clone()), rule: None, why })
}

fn allows_profile(what: &str, profiles: &[String], profile: &str) -> Result<(), Refusal> {
    if profiles.is_empty() || profiles.iter().any(|granted| granted == profile) {
        return Ok(());
    }
    let granted = profiles[..profiles.len().min(SHOWN)].join(", ");
    let why = format!("{what} does not grant the profile `{profile}`: use one of {granted}");
    Err(Refusal { name: None, rule: None, why })
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match is_short(&text) {
        true => Ok(text),
        false => Err(de::Error::custom(format!("write a line of at most {MAX_TEXT} octets"))),
    }
}

pub(crate) fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.len() <= MOST { Ok(list) } else { Err(de::Error::custom(format!("name at most {MOST}"))) }
}

fn few_profiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<String> = few(deserializer)?;
    match list.iter().all(|name| !name.is_empty() && is_short(name)) {
        true => Ok(list),
        false => Err(de::Error::custom(format!("the name of a profile is a line of 1 to {MAX_TEXT} octets"))),
    }
}

pub(crate) fn is_short(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(names: &[&str], profiles: &[&str]) -> Grant {
        Grant {
            label: String::new(),
            names: names.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
            profiles: profiles.iter().map(|&name| name.to_owned()).collect(),
            orders: None,
            certificates: None,
            expires: None,
            reuse: Reuse::Once,
            limits: RateLimits::Apply,
        }
    }

    #[test]
    fn a_grant_without_names_or_profiles_narrows_nothing() {
        let open = grant(&[], &[]);
        for name in ["a.example.test", "*.example.test", "192.0.2.1"] {
            assert_eq!(open.allows_name(&Name::parse(name).unwrap()), Ok(()));
        }
        assert_eq!(open.allows_profile("anything"), Ok(()));
    }

    #[test]
    fn a_grant_allows_its_names_and_profiles_and_names_them_when_it_refuses() {
        let narrow = grant(&[".example.test", "192.0.2.0/24"], &["server"]);
        let allows = |name: &str| narrow.allows_name(&Name::parse(name).unwrap());
        assert!(["a.example.test", "*.b.example.test", "192.0.2.7"].into_iter().all(|name| allows(name).is_ok()));
        for name in ["example.test", "a.other.test", "192.0.3.1", "::1"] {
            let refusal = allows(name).unwrap_err();
            assert_eq!(refusal.name.map(|name| name.to_string()).as_deref(), Some(name));
            assert!(refusal.why.contains(".example.test, 192.0.2.0/24"), "{}", refusal.why);
        }
        assert_eq!(narrow.allows_profile("server"), Ok(()));
        assert!(narrow.allows_profile("client").unwrap_err().why.contains("one of server"));
    }
}
