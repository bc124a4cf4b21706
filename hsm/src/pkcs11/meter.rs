//! How many signatures each key made by each mechanism, and how long they took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use policy::key::SignatureScheme;

use crate::wire::{LATENCIES, Operations};

/// Counters since the process started.
#[derive(Default)]
pub(super) struct Meter(Mutex<BTreeMap<(String, &'static str), Tally>>);

#[derive(Default)]
struct Tally {
    failed: u64,
    buckets: [u64; LATENCIES.len() + 1],
    micros: u64,
}

impl Meter {
    /// One signature was made, or was not. Waiting for a session counts: it is what the caller waits.
    pub(super) fn note(&self, key: &str, scheme: SignatureScheme, took: Duration, good: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = LATENCIES.partition_point(|end| *end < micros);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = all.entry((key.to_owned(), mechanism(scheme))).or_default();
        tally.failed += u64::from(!good);
        tally.buckets[class] += 1;
        tally.micros = tally.micros.saturating_add(micros);
    }

    pub(super) fn read(&self) -> Vec<Operations> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |((key, mechanism), tally): (&(String, &'static str), &Tally)| Operations {
            key: key.clone(),
            mechanism: (*mechanism).to_owned(),
            failed: tally.failed,
            buckets: tally.buckets,
            micros: tally.micros,
        };
        all.iter().map(one).collect()
    }
}

fn mechanism(scheme: SignatureScheme) -> &'static str {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha384 => "CKM_ECDSA",
        SignatureScheme::Ed25519 => "CKM_EDDSA",
        SignatureScheme::RsaPkcs1Sha256 => "CKM_RSA_PKCS",
        SignatureScheme::RsaPssSha256 => "CKM_RSA_PKCS_PSS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_in_the_class_that_its_time_ends_in() {
        let meter = Meter::default();
        for (micros, good) in [(0, true), (100, true), (101, false), (20_000_000, true)] {
            meter.note("issuing-1", SignatureScheme::EcdsaP256Sha256, Duration::from_micros(micros), good);
        }
        let all = meter.read();
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((one.key.as_str(), one.mechanism.as_str(), one.failed), ("issuing-1", "CKM_ECDSA", 1));
        assert_eq!((one.buckets[0], one.buckets[1], one.buckets[LATENCIES.len()]), (2, 1, 1));
        assert_eq!(one.micros, 20_000_201);
    }
}
