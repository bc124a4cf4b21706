//! The version is v3, because there are extensions (RFC 5280 section 4.1.2.1).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "version_v3", rule: "RFC 5280 section 4.1.2.1", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(subject.tbs.version == 2, format!("the version field is {}, not 2 (v3)", subject.tbs.version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn a_certificate_of_version_3_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_certificate_of_version_1_fails() {
        fixture::leaf().with(|tbs| tbs.version = 0).fails(&LINT, "is 0");
    }
}
