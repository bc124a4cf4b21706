//! Times are UTCTime through 2049 and GeneralizedTime from 2050 on (RFC 5280 section 5.1.2.4).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};
use crate::asn1;

pub(super) const LINT: Lint = Lint { name: "times_encoding", rule: "RFC 5280 section 5.1.2.4", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    for time in [Some(&subject.raw.this_update), subject.raw.next_update.as_ref()].into_iter().flatten() {
        let read = asn1::read_time(time).ok_or("a time is not of the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")?;
        let again = asn1::write_time(read);
        ensure(again.as_ref() == Ok(time), "a time is not UTCTime through 2049 and GeneralizedTime after")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use der::Tag;
    use der::asn1::Any;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn times_of_this_century_as_utc_time_pass() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn another_form_fails() {
        for (tag, text, why) in [
            (Tag::GeneralizedTime, &b"20261201000000Z"[..], "2049"),
            (Tag::UtcTime, b"2612010000Z", "form"),
            (Tag::GeneralizedTime, b"20500101000000.5Z", "form"),
        ] {
            let time = Any::new(tag, text).unwrap();
            fixture::complete().with(|raw| raw.next_update = Some(time.clone())).fails(&LINT, why);
            fixture::complete().with(|raw| raw.this_update = time).fails(&LINT, why);
        }
    }
}
