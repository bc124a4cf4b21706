//! The key can do what its usage says: only RSA keys encipher (RFC 8813 section 3, RFC 9295 section 3), and
//! nothing that Signet certifies encrypts data, agrees on keys or binds a person.
//!
//! Effective since August 2020 (Ed25519: September 2022).

use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use crate::key::KeyAlgorithm;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "key_usage_fits_key", rule: "RFC 8813 section 3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(usage) = subject.tbs.decode::<KeyUsage>() else { return Ok(()) };
    let is_rsa = subject.key.as_ref().is_some_and(|key| key.algorithm() == KeyAlgorithm::Rsa);
    ensure(is_rsa || !usage.key_encipherment(), "a key that cannot encipher has the usage keyEncipherment")?;
    let never = KeyUsages::NonRepudiation
        | KeyUsages::DataEncipherment
        | KeyUsages::KeyAgreement
        | KeyUsages::EncipherOnly
        | KeyUsages::DecipherOnly;
    ensure((usage.0 & never).is_empty(), "the key usage holds a bit that Signet never gives")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn an_ec_key_that_signs_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn an_rsa_key_that_enciphers_passes() {
        fixture::leaf_with(KeyAlgorithm::Rsa).passes(&LINT);
    }

    #[test]
    fn an_ec_key_that_enciphers_fails() {
        let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment);
        fixture::leaf().with_value(&usage).fails(&LINT, "keyEncipherment");
    }

    #[test]
    fn key_agreement_fails() {
        let usage = KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyAgreement);
        fixture::leaf().with_value(&usage).fails(&LINT, "never gives");
    }
}
