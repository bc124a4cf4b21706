//! thisUpdate is not after producedAt, and nextUpdate is after both (RFC 6960 section 2.4, RFC 5019
//! section 2.2.4).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "times", rule: "RFC 6960 section 2.4", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    for response in &subject.data.responses {
        ensure(response.this_update <= subject.data.produced_at, "thisUpdate is later than producedAt")?;
        ensure(subject.data.produced_at < response.next_update, "nextUpdate is not later than producedAt")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;
    use crate::testing::NOW;

    #[test]
    fn an_answer_for_some_days_passes() {
        fixture::good().passes(&LINT);
        fixture::good().with_response(|one| one.this_update = NOW).passes(&LINT);
    }

    #[test]
    fn an_answer_from_the_future_or_the_past_fails() {
        fixture::good().with_response(|one| one.this_update = NOW.plus(1)).fails(&LINT, "thisUpdate");
        fixture::good().with_response(|one| one.next_update = NOW).fails(&LINT, "nextUpdate");
    }
}
