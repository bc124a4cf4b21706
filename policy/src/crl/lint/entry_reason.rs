//! A reason is one that RFC 5280 knows; unspecified is left out (RFC 5280 section 5.3.1).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};
use crate::crl::Reason;
use crate::crl::entry::REMOVE_FROM_CRL;
use crate::tlv;

pub(super) const LINT: EntryLint = EntryLint { name: "entry_reason", rule: "RFC 5280 section 5.3.1", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let Some(value) = subject.entry.reason() else { return Ok(()) };
    let [tlv::ENUMERATED, 1, code] = value else { return Err("a reason code does not decode".to_owned()) };
    ensure(*code != Reason::Unspecified.code(), "the reason `unspecified` is not left out")?;
    ensure(*code == REMOVE_FROM_CRL || Reason::try_from(*code).is_ok(), format!("{code} is no reason code"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    fn reason(value: &[u8]) -> fixture::EntryFixture {
        let mut extension = vec![0x30, (value.len() + 7) as u8, 6, 3, 0x55, 0x1d, 21, 4, value.len() as u8];
        extension.extend_from_slice(value);
        fixture::entry().with_extensions(Some(&extension))
    }

    #[test]
    fn known_reasons_pass() {
        for code in [1, 2, 3, 4, 5, 6, 8, 9, 10] {
            reason(&[10, 1, code]).passes(&LINT);
        }
        fixture::entry().with_extensions(None).passes(&LINT);
    }

    #[test]
    fn other_codes_fail() {
        reason(&[10, 1, 0]).fails(&LINT, "left out");
        for code in [7, 11, 255] {
            reason(&[10, 1, code]).fails(&LINT, "no reason");
        }
        reason(&[2, 1, 1]).fails(&LINT, "decode");
        reason(&[]).fails(&LINT, "decode");
    }
}
