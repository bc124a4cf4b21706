//! A CA below another has a subject of its own: a self-issued certificate confuses path building (RFC 5280 section 3.2).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "ca_name_differs", rule: "RFC 5280 section 3.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(issuer) = subject.issuer else { return Ok(()) };
    ensure(subject.tbs.subject != *issuer.subject(), "the subject is the issuer's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn an_issuing_ca_with_a_name_of_its_own_passes() {
        fixture::role(Role::IssuingCa).passes(&LINT);
    }

    #[test]
    fn a_root_that_is_its_own_issuer_passes() {
        fixture::root().passes(&LINT);
    }

    #[test]
    fn an_issuing_ca_with_the_roots_name_fails() {
        fixture::role(Role::IssuingCa).with(|tbs| tbs.subject = tbs.issuer.clone()).fails(&LINT, "the issuer's");
    }
}
