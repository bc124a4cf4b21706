//! A revocation is dated in UTCTime through 2049 and GeneralizedTime after (RFC 5280 sections 5.1.2.6
//! and 5.1.2.4).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};
use crate::effects::UnixTime;
use crate::tlv;

pub(super) const LINT: EntryLint = EntryLint { name: "entry_date", rule: "RFC 5280 section 5.1.2.6", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let time = subject.date.ok_or("a revocation date is not of the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")?;
    let is_short = subject.entry.date.tag == tlv::UTC_TIME;
    ensure(is_short == (time < YEAR_2050), "a revocation date is not UTCTime through 2049 and GeneralizedTime after")
}

/// 2050-01-01T00:00:00Z
const YEAR_2050: UnixTime = UnixTime(2_524_608_000);

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
