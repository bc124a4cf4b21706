//! The validity lies within the issuer's (J7; RFC 5280 section 6.1.3, incident 34).
//!
//! Effective since May 2008.

use crate::tbs;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "validity_within_issuer", rule: "RFC 5280 section 6.1.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(issuer) = subject.issuer else { return Ok(()) };
    let validity = tbs::validity(subject.tbs).map_err(|error| error.to_string())?;
    let (first, last) = (issuer.validity().not_before(), issuer.validity().not_after());
    ensure(validity.not_before() >= first, "it would be valid before its issuer is")?;
    ensure(validity.not_after() <= last, "it would be valid after its issuer has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1;
    use crate::lint::fixture;
    use crate::testing::{DAY, NOW};

    #[test]
    fn a_validity_within_the_issuers_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_leaf_that_outlives_its_issuer_fails() {
        let late = asn1::write_time(NOW.plus(100 * 366 * DAY)).unwrap();
        fixture::leaf().with(|tbs| tbs.validity.not_after = late).fails(&LINT, "after its issuer");
    }

    #[test]
    fn a_leaf_that_starts_before_its_issuer_fails() {
        let early = asn1::write_time(NOW.minus(366 * DAY)).unwrap();
        fixture::leaf().with(|tbs| tbs.validity.not_before = early).fails(&LINT, "before its issuer");
    }
}
