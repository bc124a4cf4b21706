//! There is an answer, no more than a request may ask for, and one for each certificate (RFC 6960
//! section 4.2.1).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::ocsp::{Request, SingleResponse};

pub(super) const LINT: Lint = Lint { name: "responses", rule: "RFC 6960 section 4.2.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let responses = &subject.data.responses;
    ensure((1..=Request::MOST_IDS).contains(&responses.len()), "there is no answer, or there are too many")?;
    let twice = |(index, one): (usize, &SingleResponse)| responses[..index].iter().any(|other| other.id == one.id);
    ensure(!responses.iter().enumerate().any(twice), "there are two answers for one certificate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::ResponseData;
    use crate::ocsp::lint::fixture;

    #[test]
    fn one_answer_passes() {
        fixture::good().passes(&LINT);
    }

    #[test]
    fn none_too_many_and_two_for_one_fail() {
        fixture::good().with(|data| data.responses.clear()).fails(&LINT, "no answer");
        let repeat = |data: &mut ResponseData, count| data.responses = vec![data.responses[0].clone(); count];
        fixture::good().with(|data| repeat(data, 33)).fails(&LINT, "too many");
        fixture::good().with(|data| repeat(data, 2)).fails(&LINT, "two answers");
    }
}
