//! The issuer's name is the subject of the CA that signs, octet for octet (RFC 5280 section 5.1.2.3).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "issuer_name", rule: "RFC 5280 section 5.1.2.3", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(subject.raw.issuer == *subject.issuer.subject(), "the issuer is not the subject of the CA that signs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn the_issuers_name_passes() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn another_name_and_none_fail() {
        fixture::complete().with(|raw| raw.issuer = "CN=Example Issuing 2".parse().unwrap()).fails(&LINT, "subject");
        fixture::complete().with(|raw| raw.issuer = Default::default()).fails(&LINT, "subject");
    }
}
