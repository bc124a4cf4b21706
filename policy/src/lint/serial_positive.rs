//! The serial number is an INTEGER above zero (RFC 5280 section 4.1.2.2).
//!
//! Effective since May 2008.

use der::{Tag, Tagged};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "serial_positive", rule: "RFC 5280 section 4.1.2.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let (tag, octets) = (subject.tbs.serial.tag(), subject.tbs.serial.value());
    ensure(tag == Tag::Integer, "the serial number is not an INTEGER")?;
    let is_positive = octets.first().is_some_and(|first| *first < 0x80) && octets.iter().any(|octet| *octet != 0);
    ensure(is_positive, "the serial number is zero, negative or empty")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::Any;

    #[test]
    fn a_positive_serial_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_negative_serial_fails() {
        fixture::leaf().with(|tbs| tbs.serial = Any::new(Tag::Integer, [0x80; 20]).unwrap()).fails(&LINT, "negative");
    }

    #[test]
    fn a_zero_serial_fails() {
        fixture::leaf().with(|tbs| tbs.serial = Any::new(Tag::Integer, [0; 1]).unwrap()).fails(&LINT, "zero");
    }

    #[test]
    fn a_serial_of_another_type_fails() {
        fixture::leaf().with(|tbs| tbs.serial = Any::new(Tag::OctetString, [1; 20]).unwrap()).fails(&LINT, "INTEGER");
    }
}
