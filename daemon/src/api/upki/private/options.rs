//! `GET private/options`: what the CA certifies, of all profiles that uPKI's names reach.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use policy::key::KeyAlgorithm;
use policy::profile::Profile;
use serde::Serialize;

use super::super::answer::Data;
use super::super::{Upki, profile};
use crate::api::access::{Permitted, ReadProfiles};

#[derive(Serialize)]
pub(in super::super) struct Options {
    key_types: Vec<KeyType>,
    digests: [&'static str; 1],
    profiles: Vec<String>,
    validity_days: Validity,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum KeyType {
    Rsa { sizes: BTreeSet<u16> },
    Ec { curves: Vec<&'static str> },
    Ed25519,
}

#[derive(Serialize)]
struct Validity {
    min: u64,
    max: u64,
    default: u64,
}

pub(in super::super) async fn show(_permitted: Permitted<ReadProfiles>, State(upki): State<Upki>) -> Data<Options> {
    let names: Vec<String> = upki.upki.profiles.keys().cloned().collect();
    let profiles: Vec<Arc<Profile>> = names.iter().filter_map(|name| profile::ours(&upki, name)).collect();
    let taken: BTreeSet<_> =
        profiles.iter().flat_map(|profile| profile.key_algorithms()).map(|one| *one as u8).collect();
    let takes = |algorithm: KeyAlgorithm| taken.contains(&(algorithm as u8));
    let mut key_types = Vec::new();
    if takes(KeyAlgorithm::Rsa) {
        let sizes = profiles.iter().flat_map(|profile| profile.rsa_bits()).copied().collect();
        key_types.push(KeyType::Rsa { sizes });
    }
    let curves = [(KeyAlgorithm::P256, "prime256v1"), (KeyAlgorithm::P384, "secp384r1")];
    let curves: Vec<_> = curves.into_iter().filter(|(one, _)| takes(*one)).map(|(_, curve)| curve).collect();
    if !curves.is_empty() {
        key_types.push(KeyType::Ec { curves });
    }
    if takes(KeyAlgorithm::Ed25519) {
        key_types.push(KeyType::Ed25519);
    }
    let days = |profile: &Arc<Profile>| profile::days(profile);
    let usual = profile::ours(&upki, profile::DEFAULT).map(|profile| profile::days(&profile));
    let max = profiles.iter().map(days).max().unwrap_or_default();
    Data(Options {
        key_types,
        digests: [profile::digest(&upki)],
        profiles: names,
        validity_days: Validity {
            min: profiles.iter().map(days).min().unwrap_or_default(),
            max,
            default: usual.unwrap_or(max),
        },
    })
}
