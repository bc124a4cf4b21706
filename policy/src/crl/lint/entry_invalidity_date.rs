//! An invalidity date is a GeneralizedTime, in whole seconds, in UTC (RFC 5280 section 5.3.2).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};
use crate::crl::entry::INVALIDITY_DATE;
use crate::crl::raw_entry::RawTime;
use crate::time::{Form, write_time};
use crate::tlv;

pub(super) const LINT: EntryLint = EntryLint { name: "entry_invalidity_date", rule: "RFC 5280 section 5.3.2", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let Some(value) = subject.entry.extension(&INVALIDITY_DATE) else { return Ok(()) };
    let time = match tlv::split(value) {
        // The reader knows this century's dates in this form as well.
        Some((tag @ tlv::GENERALIZED_TIME, text, [])) => RawTime { tag, text }.read(),
        _ => None,
    };
    let mut again = Vec::with_capacity(17);
    let written = time.and_then(|time| write_time(time, Form::Generalized, &mut again).ok());
    ensure(written.is_some() && again == value, "an invalidity date is not of the form YYYYMMDDHHMMSSZ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn an_invalidity_date_passes() {
        fixture::entry().passes(&LINT);
        fixture::entry().with_extensions(None).passes(&LINT);
    }

    #[test]
    fn one_in_another_form_fails() {
        for text in [&b"\x17\x0d261122000000Z"[..], b"\x18\x1120261122000000.5Z", b"\x18\x0d202611220000Z", b""] {
            let mut extension = vec![0x30, (text.len() + 7) as u8, 6, 3, 0x55, 0x1d, 24, 4, text.len() as u8];
            extension.extend_from_slice(text);
            fixture::entry().with_extensions(Some(&extension)).fails(&LINT, "form");
        }
    }
}
