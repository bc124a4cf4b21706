//! An archive cutoff is a time that has passed (RFC 6960 section 4.4.4).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "archive_cutoff", rule: "RFC 6960 section 4.4.4", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let passed = |cutoff| cutoff <= subject.data.produced_at;
    let all = subject.data.responses.iter().all(|response| response.archive_cutoff.is_none_or(passed));
    ensure(all, "an archive cutoff lies in the future")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;
    use crate::testing::NOW;

    #[test]
    fn none_and_one_that_has_passed_pass() {
        fixture::good().passes(&LINT);
        fixture::good().with_response(|one| one.archive_cutoff = Some(NOW.minus(9))).passes(&LINT);
    }

    #[test]
    fn one_in_the_future_fails() {
        fixture::good().with_response(|one| one.archive_cutoff = Some(NOW.plus(9))).fails(&LINT, "future");
    }
}
