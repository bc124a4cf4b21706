//! Only key usage, basic constraints and the subject alternative names of an empty subject are critical;
//! the others must not be (RFC 5280 sections 4.2.1.1, 4.2.1.2, 4.2.2.1) or should not be (4.2.1.13).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "extensions_criticality", rule: "RFC 5280 section 4.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let may_be = [KeyUsage::OID, BasicConstraints::OID, SubjectAltName::OID];
    match subject.tbs.extensions().iter().find(|extension| extension.critical && !may_be.contains(&extension.extn_id)) {
        Some(extension) => Err(format!("the extension {} is critical", extension.extn_id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use x509_cert::ext::pkix::{CrlDistributionPoints, ExtendedKeyUsage};

    #[test]
    fn the_usual_criticality_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_critical_extended_key_usage_or_place_fails() {
        fixture::leaf().with_extension::<ExtendedKeyUsage>(|e| e.critical = true).fails(&LINT, "2.5.29.37 is critical");
        fixture::leaf().with_extension::<CrlDistributionPoints>(|e| e.critical = true).fails(&LINT, "is critical");
    }
}
