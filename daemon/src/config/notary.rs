//! `[notary]`: what the Notary dialect issues from.

use policy::key::KeyKind;
use serde::{Deserialize, Serialize};

/// The Notary dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notary {
    /// Name of the profile that its certificates are of.
    pub profile: String,
    /// Name of the profile that allows the authorities which it makes, and what their keys are, if it makes any.
    pub authorities: Option<(String, KeyKind)>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    authorities: Option<String>,
    authority_key: Option<KeyKind>,
    profile: Option<String>,
}

pub(super) fn parse(raw: Raw) -> Notary {
    // Notary's certificates are for servers and clients alike.
    let key = raw.authority_key.unwrap_or(KeyKind::P256);
    Notary {
        profile: raw.profile.unwrap_or_else(|| "node".to_owned()),
        authorities: raw.authorities.map(|profile| (profile, key)),
    }
}
