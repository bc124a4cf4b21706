//! Profiles in uPKI's vocabulary: their names, and what an object says of one.

use std::sync::Arc;

use policy::key::{KeyAlgorithm, SignatureScheme};
use policy::profile::{Pattern, Profile};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Upki;
use super::error::Error;

/// What uPKI calls one of our profiles: of several names the one that it uses if nothing is said.
pub(super) fn theirs(upki: &Upki, ours: &str) -> String {
    let profiles = &upki.upki.profiles;
    if profiles.get(DEFAULT).is_some_and(|name| name == ours) {
        return DEFAULT.to_owned();
    }
    let known = profiles.iter().find(|(_, name)| *name == ours);
    known.map_or(ours, |(theirs, _)| theirs).to_owned()
}

/// The profile of a request that names none.
pub(super) const DEFAULT: &str = "server";

/// What we call one of uPKI's profiles.
pub(super) fn ours(upki: &Upki, theirs: &str) -> Option<Arc<Profile>> {
    upki.profiles.now().get(upki.upki.profiles.get(theirs)?).cloned()
}

/// The same, for a request that must name one.
pub(super) fn named(upki: &Upki, theirs: &str) -> Result<Arc<Profile>, Error> {
    ours(upki, theirs).ok_or_else(|| {
        let theirs: String = theirs.chars().take(64).collect();
        let known: Vec<&str> = upki.upki.profiles.keys().map(String::as_str).collect();
        Error::validation(format!("Invalid profile `{theirs}`: use one of {}", known.join(", ")))
    })
}

/// A profile, as uPKI's code writes it and as its documentation does.
#[derive(Serialize)]
pub(super) struct View {
    #[serde(rename = "keyType")]
    key_type: &'static str,
    #[serde(rename = "keyLen")]
    key_length: u16,
    duration: u64,
    digest: &'static str,
    altnames: bool,
    domain: Option<String>,
    subject: Map<String, Value>,
    #[serde(rename = "keyUsage")]
    key_usage: Vec<&'static str>,
    #[serde(rename = "extendedKeyUsage")]
    extended_key_usage: Vec<&'static str>,
    #[serde(rename = "certType")]
    certificate_type: &'static str,
    #[serde(flatten)]
    documented: Documented,
}

/// The names of the documentation.
#[derive(Serialize)]
struct Documented {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    validity: u64,
    key_type: &'static str,
    key_length: u16,
    ca: bool,
    key_usage: Vec<&'static str>,
    extended_key_usage: Vec<&'static str>,
    subject_alt_name: bool,
}

impl View {
    /// `name` is what uPKI calls it.
    pub(super) fn new(upki: &Upki, name: &str, profile: &Profile) -> Self {
        let (key_type, key_length) = usual_key(profile);
        let (key_usage, extended_key_usage) = (profile.key_usage_names(), profile.extended_usage_names());
        let kind = if extended_key_usage.contains(&"serverAuth") { "server" } else { "client" };
        let domain = profile.permitted().iter().find_map(|pattern| match pattern {
            Pattern::Suffix(suffix) => Some(suffix.trim_start_matches('.').to_owned()),
            Pattern::Exact(name) => Some(name.to_string()),
            Pattern::AnyDns | Pattern::Network { .. } => None,
        });
        let days = days(profile);
        Self {
            key_type,
            key_length,
            duration: days,
            digest: digest(upki),
            altnames: true,
            domain,
            subject: Map::new(),
            key_usage: key_usage.clone(),
            extended_key_usage: extended_key_usage.clone(),
            certificate_type: kind,
            documented: Documented {
                name: name.to_owned(),
                kind,
                validity: days,
                key_type,
                key_length,
                ca: false,
                key_usage,
                extended_key_usage,
                subject_alt_name: true,
            },
        }
    }
}

/// How long certificates last, in days.
pub(super) fn days(profile: &Profile) -> u64 {
    profile.seconds().div_ceil(86_400)
}

/// The digest of the CA's signatures.
pub(super) fn digest(upki: &Upki) -> &'static str {
    match upki.issuer.now().key().certificate_scheme() {
        SignatureScheme::EcdsaP384Sha384 => "sha384",
        SignatureScheme::Ed25519 => "sha512",
        SignatureScheme::EcdsaP256Sha256 | SignatureScheme::RsaPkcs1Sha256 | SignatureScheme::RsaPssSha256 => "sha256",
    }
}

/// Kind and length of the key that fits the profile best: uPKI's own, RSA, where it is taken.
pub(super) fn usual_key(profile: &Profile) -> (&'static str, u16) {
    let takes = |algorithm| profile.key_algorithms().contains(&algorithm);
    match profile.rsa_bits().iter().min() {
        Some(bits) if takes(KeyAlgorithm::Rsa) => ("rsa", *bits),
        _ if takes(KeyAlgorithm::P256) => ("ec", 256),
        _ if takes(KeyAlgorithm::P384) => ("ec", 384),
        _ => ("ed25519", 256),
    }
}
