//! A list of entries that is there has entries (RFC 5280 section 5.1.2.6).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "list_not_empty", rule: "RFC 5280 section 5.1.2.6", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(!subject.raw.has_list || subject.raw.entries > 0, "the list of entries is empty and not left out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_list_with_entries_and_none_pass() {
        fixture::complete().passes(&LINT);
        fixture::empty().passes(&LINT);
    }

    #[test]
    fn a_list_without_entries_fails() {
        fixture::empty().with(|raw| raw.has_list = true).fails(&LINT, "empty");
    }
}
