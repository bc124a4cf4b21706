//! The validity does not end before it starts (RFC 5280 section 4.1.2.5).
//!
//! Effective since May 2008.

use crate::asn1;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "validity_order", rule: "RFC 5280 section 4.1.2.5", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let times = (asn1::read_time(&subject.tbs.validity.not_before), asn1::read_time(&subject.tbs.validity.not_after));
    ensure(matches!(times, (Some(first), Some(last)) if first <= last), "notAfter is not after notBefore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::RawTbs;
    use crate::lint::fixture;

    #[test]
    fn a_validity_in_order_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn an_inverted_validity_fails() {
        let invert = |tbs: &mut RawTbs| std::mem::swap(&mut tbs.validity.not_before, &mut tbs.validity.not_after);
        fixture::leaf().with(invert).fails(&LINT, "not after");
    }
}
