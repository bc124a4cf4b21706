//! The algorithm is that of the issuer's key, in its one encoding (RFC 5280 section 5.1.2.2, RFC 4055
//! section 5, RFC 5758 section 3.2, RFC 8410 section 3).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};
use crate::asn1;

pub(super) const LINT: Lint = Lint { name: "algorithm", rule: "RFC 5280 section 5.1.2.2", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let scheme = subject.issuer.key().certificate_scheme();
    ensure(
        asn1::signature_scheme(&subject.raw.algorithm) == Some(scheme),
        "the algorithm is not the one that the issuer's key signs with",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;
    use crate::key::SignatureScheme;

    #[test]
    fn the_issuers_algorithm_passes() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn another_algorithm_fails() {
        let other = asn1::signature_algorithm(SignatureScheme::EcdsaP384Sha384).unwrap();
        fixture::complete().with(|raw| raw.algorithm = other).fails(&LINT, "algorithm");
    }

    #[test]
    fn parameters_where_none_belong_fail() {
        let null = Some(der::asn1::Any::null());
        fixture::complete().with(|raw| raw.algorithm.parameters = null).fails(&LINT, "algorithm");
    }
}
