//! Serial numbers ascend, so that none stands twice (X.509 section 7.10 has one entry for each; the
//! order is our own rule, under which a single pass sees it).
//!
//! Effective since Signet's first CRL.

use super::{EntryLint, EntrySubject, ensure};

pub(super) const LINT: EntryLint = EntryLint { name: "entry_order", rule: "X.509 section 7.10", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    // Positive and minimal, which another lint looks at: the longer one is the greater.
    let ascends = |previous: &[u8]| (previous.len(), previous) < (subject.entry.serial.len(), subject.entry.serial);
    ensure(subject.previous.is_none_or(ascends), "serial numbers do not ascend")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn the_first_and_a_greater_one_pass() {
        fixture::entry().passes(&LINT);
        fixture::entry().with_serials(&[0x7f], &[1, 0]).passes(&LINT);
    }

    #[test]
    fn a_smaller_one_and_the_same_fail() {
        fixture::entry().with_serials(&[2], &[1]).fails(&LINT, "ascend");
        fixture::entry().with_serials(&[2], &[2]).fails(&LINT, "ascend");
    }
}
