//! Subject alternative names are critical exactly where the subject is empty (RFC 5280 section 4.2.1.6).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::SubjectAltName;

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "alternative_names_critical", rule: "RFC 5280 section 4.2.1.6", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(extension) = subject.tbs.extension(SubjectAltName::OID) else { return Ok(()) };
    match (subject.tbs.subject.is_empty(), extension.critical) {
        (true, false) => Err("the subject is empty, and the subject alternative names are not critical".to_owned()),
        (false, true) => Err("there is a subject, and the subject alternative names are critical".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn names_beside_a_subject_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn critical_names_without_a_subject_pass() {
        let certificate = fixture::leaf().with(|tbs| tbs.subject = Default::default());
        certificate.with_extension::<SubjectAltName>(|e| e.critical = true).passes(&LINT);
    }

    #[test]
    fn names_that_may_be_ignored_without_a_subject_fail() {
        fixture::leaf().with(|tbs| tbs.subject = Default::default()).fails(&LINT, "not critical");
    }

    #[test]
    fn critical_names_beside_a_subject_fail() {
        fixture::leaf().with_extension::<SubjectAltName>(|e| e.critical = true).fails(&LINT, "there is a subject");
    }
}
