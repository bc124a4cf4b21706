//! The serial number is not longer than 20 octets (RFC 5280 section 4.1.2.2).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "serial_length", rule: "RFC 5280 section 4.1.2.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let length = subject.tbs.serial.value().len();
    ensure(length <= 20, format!("the serial number has {length} octets, more than 20"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::Tag;
    use der::asn1::Any;

    #[test]
    fn a_serial_of_20_octets_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_serial_of_21_octets_fails() {
        fixture::leaf().with(|tbs| tbs.serial = Any::new(Tag::Integer, [1; 21]).unwrap()).fails(&LINT, "21 octets");
    }
}
