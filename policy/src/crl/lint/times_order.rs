//! nextUpdate is there and later than thisUpdate, which lies within the validity of the issuer's
//! certificate (RFC 5280 sections 5.1.2.4 and 5.1.2.5).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};
use crate::asn1;

pub(super) const LINT: Lint = Lint { name: "times_order", rule: "RFC 5280 section 5.1.2.5", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let next = subject.raw.next_update.as_ref().ok_or("there is no nextUpdate")?;
    let (Some(this), Some(next)) = (asn1::read_time(&subject.raw.this_update), asn1::read_time(next)) else {
        return Err("a time does not decode".to_owned());
    };
    ensure(this < next, "nextUpdate is not later than thisUpdate")?;
    ensure(
        subject.issuer.validity().contains(this),
        "thisUpdate is outside of the validity of the issuer's certificate",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;
    use crate::effects::UnixTime;

    #[test]
    fn a_week_passes() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn no_end_and_an_end_before_the_beginning_fail() {
        fixture::complete().with(|raw| raw.next_update = None).fails(&LINT, "no nextUpdate");
        fixture::complete().with(|raw| raw.next_update = Some(raw.this_update.clone())).fails(&LINT, "not later");
    }

    #[test]
    fn a_crl_from_before_its_issuer_fails() {
        let before = asn1::write_time(UnixTime(1)).unwrap();
        fixture::complete().with(|raw| raw.this_update = before).fails(&LINT, "validity");
    }
}
