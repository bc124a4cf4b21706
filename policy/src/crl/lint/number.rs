//! There is a CRL number, positive and of at most 20 octets; Signet's fit 64 bits (RFC 5280 section
//! 5.2.3).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "number", rule: "RFC 5280 section 5.2.3", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(subject.raw.number().is_some_and(|number| number > 0), "there is no CRL number that is positive and 64 bits")
}

#[cfg(test)]
mod tests {
    use der::asn1::Uint;
    use x509_cert::ext::pkix::crl::CrlNumber;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_number_passes() {
        fixture::complete().passes(&LINT);
        fixture::complete().with_value(&CrlNumber(Uint::new(&[1]).unwrap())).passes(&LINT);
    }

    #[test]
    fn none_zero_and_a_huge_one_fail() {
        fixture::complete().without::<CrlNumber>().fails(&LINT, "no CRL number");
        for octets in [&[0][..], &[1; 21], &[1; 9]] {
            fixture::complete().with_value(&CrlNumber(Uint::new(octets).unwrap())).fails(&LINT, "no CRL number");
        }
    }
}
