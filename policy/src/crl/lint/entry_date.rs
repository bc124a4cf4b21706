//! A revocation is dated in UTCTime through 2049 and GeneralizedTime after (RFC 5280 sections 5.1.2.6
//! and 5.1.2.4).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};
use crate::time::{Form, write_time};
use crate::tlv;

pub(super) const LINT: EntryLint = EntryLint { name: "entry_date", rule: "RFC 5280 section 5.1.2.6", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let date = subject.entry.date;
    let time = date.read().ok_or("a revocation date is not of the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")?;
    let mut again = Vec::with_capacity(17);
    let written = write_time(time, Form::Either, &mut again);
    let is_same = written.is_ok() && tlv::split(&again) == Some((date.tag, date.text, &[]));
    ensure(is_same, "a revocation date is not UTCTime through 2049 and GeneralizedTime after")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_date_of_this_century_as_utc_time_passes() {
        fixture::entry().passes(&LINT);
        fixture::entry().with_date(tlv::GENERALIZED_TIME, b"20500101000000Z").passes(&LINT);
    }

    #[test]
    fn a_date_in_another_form_fails() {
        fixture::entry().with_date(tlv::GENERALIZED_TIME, b"20261123000000Z").fails(&LINT, "through 2049");
        fixture::entry().with_date(tlv::UTC_TIME, b"2611230000Z").fails(&LINT, "form");
    }
}
