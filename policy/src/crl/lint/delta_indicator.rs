//! A delta CRL adds to a complete one with a smaller number, and names no other delta CRL (RFC 5280
//! sections 5.2.4 and 5.2.6).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::crl::{BaseCrlNumber, FreshestCrl};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "delta_indicator", rule: "RFC 5280 section 5.2.4", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    if !subject.has::<BaseCrlNumber>() {
        return Ok(());
    }
    let base = subject.raw.base().ok_or("the number of the base does not decode")?;
    ensure(subject.raw.number().is_some_and(|number| base < number), "the base is not older than the delta CRL")?;
    ensure(!subject.has::<FreshestCrl>(), "a delta CRL names another delta CRL")
}

#[cfg(test)]
mod tests {
    use der::asn1::Uint;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn complete_and_delta_pass() {
        fixture::complete().passes(&LINT);
        fixture::delta().passes(&LINT);
    }

    #[test]
    fn a_base_of_the_same_number_fails() {
        let same = BaseCrlNumber(Uint::new(&fixture::NUMBER.to_be_bytes()).unwrap());
        fixture::delta().with_value(&same).fails(&LINT, "not older");
    }

    #[test]
    fn a_delta_of_a_delta_fails() {
        fixture::delta().with_value(&fixture::freshest("http://pki.example.test/delta.crl")).fails(&LINT, "another");
    }
}
