//! Times are UTCTime through 2049 and GeneralizedTime from 2050 on, with seconds, in UTC, without
//! fractions (RFC 5280 section 4.1.2.5).
//!
//! Effective since May 2008.

use crate::asn1;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "validity_encoding", rule: "RFC 5280 section 4.1.2.5", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    for time in [&subject.tbs.validity.not_before, &subject.tbs.validity.not_after] {
        let Some(read) = asn1::read_time(time) else {
            return Err("a time is not of the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ".to_owned());
        };
        ensure(
            asn1::write_time(read).as_ref() == Ok(time),
            "a time is not UTCTime through 2049 and GeneralizedTime after",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::Tag;
    use der::asn1::Any;

    #[test]
    fn times_of_this_century_as_utc_time_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_time_after_2049_as_generalized_time_passes() {
        fixture::leaf()
            .with(|tbs| tbs.validity.not_after = time(Tag::GeneralizedTime, b"20500101000000Z"))
            .passes(&LINT);
    }

    #[test]
    fn a_time_of_this_century_as_generalized_time_fails() {
        let early = time(Tag::GeneralizedTime, b"20491231235959Z");
        fixture::leaf().with(|tbs| tbs.validity.not_after = early).fails(&LINT, "2049");
    }

    #[test]
    fn fractions_zones_and_missing_seconds_fail() {
        for (tag, text) in [
            (Tag::GeneralizedTime, &b"20500101000000.5Z"[..]),
            (Tag::GeneralizedTime, b"20500101000000+0100"),
            (Tag::UtcTime, b"2701010000Z"),
            (Tag::UtcTime, b"270101000000"),
        ] {
            fixture::leaf().with(|tbs| tbs.validity.not_after = time(tag, text)).fails(&LINT, "form");
        }
    }

    fn time(tag: Tag, text: &[u8]) -> Any {
        Any::new(tag, text).unwrap()
    }
}
