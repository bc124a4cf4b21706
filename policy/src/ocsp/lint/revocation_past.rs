//! No revocation is dated later than the answer that says so (RFC 6960 section 2.2).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::ocsp::{SingleResponse, Status};

pub(super) const LINT: Lint = Lint { name: "revocation_past", rule: "RFC 6960 section 2.2", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let is_past = |response: &SingleResponse| match response.status {
        Status::Revoked { at, .. } => at <= subject.data.produced_at,
        Status::Good | Status::Unknown => true,
    };
    ensure(subject.data.responses.iter().all(is_past), "a revocation lies in the future")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;
    use crate::testing::NOW;

    #[test]
    fn a_revocation_that_has_happened_passes() {
        fixture::revoked().passes(&LINT);
        fixture::good().passes(&LINT);
    }

    #[test]
    fn one_that_will_happen_fails() {
        let later = Status::Revoked { at: NOW.plus(9), reason: None };
        fixture::revoked().with_response(|one| one.status = later).fails(&LINT, "future");
    }
}
