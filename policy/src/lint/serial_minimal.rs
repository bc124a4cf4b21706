//! The serial number is encoded in as few octets as it needs (X.690 section 8.3.2).
//!
//! Effective since 1988.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "serial_minimal", rule: "X.690 section 8.3.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let is_padded = match subject.tbs.serial.value() {
        [0, next, ..] => *next < 0x80,
        [0xff, next, ..] => *next >= 0x80,
        _ => false,
    };
    ensure(!is_padded, "the serial number starts with an octet that says nothing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::Tag;
    use der::asn1::Any;

    #[test]
    fn a_minimal_serial_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_serial_with_a_leading_zero_octet_fails() {
        fixture::leaf()
            .with(|tbs| tbs.serial = Any::new(Tag::Integer, [0, 1, 2]).unwrap())
            .fails(&LINT, "says nothing");
    }
}
