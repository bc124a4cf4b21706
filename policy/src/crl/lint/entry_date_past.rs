//! No revocation is dated later than the CRL that says so: relying parties would have to trust the
//! certificate until then (BR 7.2.2).
//!
//! Effective since July 2023.

use super::{EntryLint, EntrySubject, ensure};

pub(super) const LINT: EntryLint = EntryLint { name: "entry_date_past", rule: "BR 7.2.2", check };

fn check(subject: &EntrySubject<'_>) -> Result<(), String> {
    let is_past = subject.date.zip(subject.this_update).is_none_or(|(date, this)| date <= this);
    ensure(is_past, "a revocation is dated later than thisUpdate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;
    use crate::tlv;

    #[test]
    fn a_revocation_before_or_at_this_update_passes() {
        fixture::entry().passes(&LINT);
        fixture::entry().with_date(tlv::UTC_TIME, fixture::THIS_UPDATE).passes(&LINT);
    }

    #[test]
    fn a_revocation_in_the_future_fails() {
        fixture::entry().with_date(tlv::UTC_TIME, b"361123000000Z").fails(&LINT, "later");
    }
}
