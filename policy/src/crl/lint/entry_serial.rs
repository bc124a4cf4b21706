//! Serial numbers are positive, in their shortest form, of at most 20 octets (RFC 5280 section
//! 4.1.2.2).
//!
//! Effective since May 2008.

use super::{EntryLint, EntrySubject, ensure};

pub(super) const LINT: EntryLint = EntryLint { name: "entry_serial", rule: "RFC 5280 section 4.1.2.2", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let sound = match subject.entry.serial {
        [] | [0] => false,
        [0, next, ..] => *next >= 0x80,
        [first, ..] => *first < 0x80,
    };
    ensure(sound, "a serial number is not a positive number in its shortest form")?;
    ensure(subject.entry.serial.len() <= 20, "a serial number has more than 20 octets")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_serial_of_ours_and_a_short_one_pass() {
        fixture::entry().passes(&LINT);
        for serial in [&[1][..], &[0, 0x80], &[0x7f; 20]] {
            fixture::entry().with_serials(&[], serial).passes(&LINT);
        }
    }

    #[test]
    fn zero_negative_long_and_padded_ones_fail() {
        for serial in [&[][..], &[0], &[0x80], &[0, 1]] {
            fixture::entry().with_serials(&[], serial).fails(&LINT, "positive");
        }
        fixture::entry().with_serials(&[], &[1; 21]).fails(&LINT, "20 octets");
    }
}
