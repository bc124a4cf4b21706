//! An entry has no extension but a reason code and an invalidity date, each once and not critical,
//! and no empty list of them (RFC 5280 section 5.3).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};

pub(super) const LINT: EntryLint = EntryLint { name: "entry_extensions", rule: "RFC 5280 section 5.3", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let Some(extensions) = subject.entry.extensions else { return Ok(()) };
    ensure(extensions.count > 0, "an entry has an empty list of extensions")?;
    ensure(!extensions.has_critical, "an extension of an entry is critical")?;
    ensure(!extensions.has_doubles, "an extension of an entry stands twice")?;
    ensure(!extensions.has_others, "an entry has an extension that Signet does not write")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    const REASON: [u8; 12] = [0x30, 10, 6, 3, 0x55, 0x1d, 21, 4, 3, 10, 1, 1];
    const CRITICAL: [u8; 15] = [0x30, 13, 6, 3, 0x55, 0x1d, 21, 1, 1, 0xff, 4, 3, 10, 1, 1];
    const ISSUER: [u8; 11] = [0x30, 9, 6, 3, 0x55, 0x1d, 29, 4, 2, 0x30, 0];

    #[test]
    fn none_and_a_reason_pass() {
        fixture::entry().passes(&LINT);
        fixture::entry().with_extensions(None).passes(&LINT);
        fixture::entry().with_extensions(Some(&REASON)).passes(&LINT);
    }

    #[test]
    fn an_empty_list_fails() {
        fixture::entry().with_extensions(Some(&[])).fails(&LINT, "empty");
    }

    #[test]
    fn a_critical_a_doubled_and_a_foreign_one_fail() {
        fixture::entry().with_extensions(Some(&CRITICAL)).fails(&LINT, "critical");
        fixture::entry().with_extensions(Some(&[REASON, REASON].concat())).fails(&LINT, "twice");
        fixture::entry().with_extensions(Some(&ISSUER)).fails(&LINT, "does not write");
    }
}
