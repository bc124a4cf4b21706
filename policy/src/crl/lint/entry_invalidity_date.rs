//! An invalidity date is a GeneralizedTime, in whole seconds, in UTC (RFC 5280 section 5.3.2).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};
use crate::time::read_time;
use crate::tlv;

pub(super) const LINT: EntryLint = EntryLint { name: "entry_invalidity_date", rule: "RFC 5280 section 5.3.2", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let Some(value) = subject.entry.invalidity_date() else { return Ok(()) };
    let time = match tlv::split(value) {
        Some((tlv::GENERALIZED_TIME, text, [])) => read_time(tlv::GENERALIZED_TIME, text),
        _ => None,
    };
    ensure(time.is_some(), "an invalidity date is not of the form YYYYMMDDHHMMSSZ")
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
