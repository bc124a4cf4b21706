//! The serial number has room for its random bits: at least 64 from a generator (BR 7.1), of which
//! Signet promises 128. What is random cannot be seen; what is too short for it can.
//!
//! Effective since 2016-09-30 (ballot 164).

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "serial_entropy", rule: "BR 7.1", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let length = subject.tbs.serial.value().len();
    ensure(length > 16, format!("a serial number of {length} octets has no room for 128 random bits"))
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
    fn a_serial_of_8_octets_fails() {
        fixture::leaf().with(|tbs| tbs.serial = Any::new(Tag::Integer, [1; 8]).unwrap()).fails(&LINT, "8 octets");
    }
}
