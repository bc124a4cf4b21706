//! No certificate has the usage anyExtendedKeyUsage, and none is named twice (RFC 5280 section 4.2.1.12, BR
//! 7.1.2.7.10).
//!
//! Effective since May 2008 (the prohibition: 2023-09-15, ballot SC-062).

use std::collections::BTreeSet;

use const_oid::db::rfc5280::ANY_EXTENDED_KEY_USAGE;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extended_key_usage_any", rule: "RFC 5280 section 4.2.1.12", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let purposes = subject.purposes();
    ensure(!purposes.contains(&ANY_EXTENDED_KEY_USAGE), "the extended key usage allows everything")?;
    let distinct: BTreeSet<_> = purposes.iter().collect();
    ensure(distinct.len() == purposes.len(), "an extended key usage stands twice")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
    use x509_cert::ext::pkix::ExtendedKeyUsage;

    #[test]
    fn a_server_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn any_usage_fails() {
        let usage = ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE]);
        fixture::leaf().with_value(&usage).fails(&LINT, "everything");
    }

    #[test]
    fn a_repeated_usage_fails() {
        let usage = ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ID_KP_SERVER_AUTH]);
        fixture::leaf().with_value(&usage).fails(&LINT, "twice");
    }
}
