//! There are no unique identifiers (RFC 5280 section 4.1.2.8).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "unique_identifiers", rule: "RFC 5280 section 4.1.2.8", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let none = subject.tbs.issuer_unique_id.is_none() && subject.tbs.subject_unique_id.is_none();
    ensure(none, "there is an issuerUniqueID or subjectUniqueID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::BitString;

    #[test]
    fn a_certificate_without_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn either_identifier_fails() {
        let bits = BitString::from_bytes(&[1]).unwrap();
        fixture::leaf().with(|tbs| tbs.issuer_unique_id = Some(bits.clone())).fails(&LINT, "UniqueID");
        fixture::leaf().with(|tbs| tbs.subject_unique_id = Some(bits)).fails(&LINT, "UniqueID");
    }
}
