//! Serial numbers are positive, in their shortest form, of at most 20 octets (RFC 5280 section
//! 4.1.2.2): nothing else was ever issued, and nothing is said of it.
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::ocsp::SingleResponse;

pub(super) const LINT: Lint = Lint { name: "serial", rule: "RFC 5280 section 4.1.2.2", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let sound = |response: &SingleResponse| match response.id.serial_octets() {
        [] | [0] => false,
        [0, next, ..] => *next >= 0x80,
        octets => octets[0] < 0x80 && octets.len() <= 20,
    };
    ensure(subject.data.responses.iter().all(sound), "a serial number is none that a certificate can have")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;

    #[test]
    fn ours_and_a_short_one_pass() {
        fixture::good().passes(&LINT);
        fixture::good().with_serial(&[1]).passes(&LINT);
    }

    #[test]
    fn zero_negative_long_and_padded_ones_fail() {
        for serial in [&[0][..], &[0x80], &[0, 1], &[1; 21]] {
            fixture::good().with_serial(serial).fails(&LINT, "none that");
        }
    }
}
