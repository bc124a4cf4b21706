//! `[notary]`: what the Notary dialect issues from.

use serde::Deserialize;

/// The Notary dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notary {
    /// Name of the profile that its certificates are of.
    pub profile: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    profile: Option<String>,
}

pub(super) fn parse(raw: Raw) -> Notary {
    // Notary's certificates are for servers and clients alike.
    Notary { profile: raw.profile.unwrap_or_else(|| "node".to_owned()) }
}
