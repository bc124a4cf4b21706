//! The signature algorithm is the one that goes with the signing key, with exactly the parameters that
//! RFC 4055 section 5 (RSA: NULL), RFC 5758 section 3.2 (ECDSA: none) and RFC 8410 section 3 (Ed25519: none) ask for.
//!
//! Effective since May 2008 (Ed25519: August 2018).

use crate::asn1;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "signature_algorithm", rule: "RFC 5280 section 4.1.1.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(key) = subject.issuer_key() else { return Err("there is no sound key to sign with".to_owned()) };
    let scheme = asn1::signature_scheme(&subject.tbs.signature);
    ensure(
        scheme == Some(key.certificate_scheme()),
        format!("the signature algorithm {} does not go with the issuer's key", subject.tbs.signature.oid),
    )
}

#[cfg(test)]
mod tests {
    use der::asn1::Any;

    use super::*;
    use crate::key::SignatureScheme;
    use crate::lint::fixture;

    #[test]
    fn the_algorithm_of_the_issuers_key_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn the_algorithm_of_another_key_fails() {
        let rsa = asn1::signature_algorithm(SignatureScheme::RsaPkcs1Sha256).unwrap();
        fixture::leaf().with(|tbs| tbs.signature = rsa).fails(&LINT, "does not go with");
    }

    #[test]
    fn parameters_where_none_belong_fail() {
        fixture::leaf().with(|tbs| tbs.signature.parameters = Some(Any::null())).fails(&LINT, "does not go with");
    }
}
