//! Only a delta CRL removes anything (RFC 5280 section 5.3.1).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::crl::BaseCrlNumber;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "removals", rule: "RFC 5280 section 5.3.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(
        subject.raw.removals == 0 || subject.has::<BaseCrlNumber>(),
        "a complete CRL has an entry with removeFromCRL",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_delta_that_removes_passes() {
        fixture::complete().passes(&LINT);
        fixture::delta().with(|raw| raw.removals = 1).passes(&LINT);
    }

    #[test]
    fn a_complete_crl_that_removes_fails() {
        fixture::complete().with(|raw| raw.removals = 1).fails(&LINT, "removeFromCRL");
    }
}
