//! The bytes are the DER of what they say: default values are left out, sets are in order (X.690 section
//! 10 and 11).
//!
//! Effective since 1994.

use der::Encode;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "der_canonical", rule: "X.690 section 10", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let same = subject.tbs.to_der().is_ok_and(|der| der == subject.der);
    ensure(same, "the bytes are not the DER of what they say")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn what_the_builder_wrote_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_criticality_of_false_written_out_fails() {
        // 2.5.29.14 is the first extension but one and not critical: OID, then BOOLEAN FALSE, then the value.
        fixture::root().fails_with_bytes(&LINT, "not the DER", spell_out_false);
    }

    /// Inserts BOOLEAN FALSE into the subject key identifier's extension and corrects all lengths around.
    fn spell_out_false(der: &mut Vec<u8>) {
        const IDENTIFIER: [u8; 5] = [6, 3, 0x55, 0x1d, 0x0e];
        let at = der.windows(5).position(|window| window == IDENTIFIER).unwrap();
        der.splice(at + 5..at + 5, [1, 1, 0]);
        // Its own SEQUENCE, and those around: the list, [3], and the certificate.
        der[at - 1] += 3;
        der[at - 3] += 3;
        der[at - 5] += 3;
        let length = u16::from_be_bytes([der[2], der[3]]) + 3;
        der[2..4].copy_from_slice(&length.to_be_bytes());
    }
}
