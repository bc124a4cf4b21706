//! There is a subject key identifier, not critical, made from the key in the certificate by method 1 of
//! RFC 7093 (RFC 5280 section 4.2.1.2).
//!
//! Effective since May 2008 (the method: December 2013).

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "subject_key_identifier", rule: "RFC 5280 section 4.2.1.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(extension) = subject.tbs.extension(SubjectKeyIdentifier::OID) else {
        return Err("there is no subject key identifier".to_owned());
    };
    ensure(!extension.critical, "the subject key identifier is critical")?;
    let identifier = subject.tbs.decode::<SubjectKeyIdentifier>();
    let matches = match (&identifier, &subject.key) {
        (Some(identifier), Some(key)) => identifier.0.as_bytes() == key.key_identifier(),
        _ => false,
    };
    ensure(matches, "the subject key identifier is not that of the key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::OctetString;

    #[test]
    fn the_identifier_of_the_key_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_missing_identifier_fails() {
        fixture::leaf().without::<SubjectKeyIdentifier>().fails(&LINT, "no subject key identifier");
    }

    #[test]
    fn the_identifier_of_another_key_fails() {
        let other = SubjectKeyIdentifier(OctetString::new([7; 20]).unwrap());
        fixture::leaf().with_value(&other).fails(&LINT, "not that of the key");
    }

    #[test]
    fn a_critical_identifier_fails() {
        fixture::leaf().with_extension::<SubjectKeyIdentifier>(|e| e.critical = true).fails(&LINT, "critical");
    }
}
