//! The issuer field holds the issuer's subject, octet for octet, so that chains are found by comparing
//! bytes (RFC 5280 section 4.1.2.4 and 7.1).
//!
//! Effective since May 2008.

use der::Encode;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "issuer_name", rule: "RFC 5280 section 4.1.2.4", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let same = subject.tbs.issuer.to_der().is_ok_and(|issuer| Ok(issuer) == subject.issuer_subject().to_der());
    ensure(same, "the issuer field is not the issuer's subject")?;
    ensure(!subject.tbs.issuer.is_empty(), "the issuer field is empty")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn the_issuers_subject_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn another_name_fails() {
        fixture::leaf().with(|tbs| tbs.issuer = tbs.subject.clone()).fails(&LINT, "not the issuer's subject");
    }

    #[test]
    fn a_root_with_another_issuer_fails() {
        fixture::root().with(|tbs| tbs.issuer = "CN=Other".parse().unwrap()).fails(&LINT, "not the issuer's subject");
    }
}
