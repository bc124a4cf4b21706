//! There is a key usage, critical, with at least one bit set (RFC 5280 section 4.2.1.3).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::KeyUsage;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "key_usage_present", rule: "RFC 5280 section 4.2.1.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(extension) = subject.tbs.extension(KeyUsage::OID) else { return Err("there is no key usage".to_owned()) };
    ensure(extension.critical, "the key usage is not critical")?;
    let usage = subject.tbs.decode::<KeyUsage>();
    ensure(usage.is_some_and(|usage| !usage.0.is_empty()), "the key usage allows nothing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn a_critical_key_usage_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_missing_key_usage_fails() {
        fixture::leaf().without::<KeyUsage>().fails(&LINT, "no key usage");
    }

    #[test]
    fn a_key_usage_that_may_be_ignored_fails() {
        fixture::leaf().with_extension::<KeyUsage>(|e| e.critical = false).fails(&LINT, "not critical");
    }

    #[test]
    fn an_empty_key_usage_fails() {
        fixture::leaf().with_value(&KeyUsage(None.into())).fails(&LINT, "nothing");
    }
}
