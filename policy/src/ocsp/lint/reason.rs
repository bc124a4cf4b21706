//! A reason that says nothing is left out (RFC 5280 section 5.3.1, which RFC 6960 refers to).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::crl::Reason;
use crate::ocsp::{SingleResponse, Status};

pub(super) const LINT: Lint = Lint { name: "reason", rule: "RFC 5280 section 5.3.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let says_nothing = |response: &SingleResponse| {
        matches!(response.status, Status::Revoked { reason: Some(Reason::Unspecified), .. })
    };
    ensure(!subject.data.responses.iter().any(says_nothing), "the reason `unspecified` is not left out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;
    use crate::testing::NOW;

    #[test]
    fn a_reason_and_none_pass() {
        fixture::revoked().passes(&LINT);
        let none = Status::Revoked { at: NOW, reason: None };
        fixture::revoked().with_response(|one| one.status = none).passes(&LINT);
    }

    #[test]
    fn unspecified_fails() {
        let unspecified = Status::Revoked { at: NOW, reason: Some(Reason::Unspecified) };
        fixture::revoked().with_response(|one| one.status = unspecified).fails(&LINT, "left out");
    }
}
