//! Extensions that are lists hold something: at least one extension, name, usage, place (RFC 5280 sections
//! 4.1.2.9, 4.2.1.6, 4.2.1.12, 4.2.1.13 and 4.2.2.1: SIZE (1..MAX)).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::DistributionPointName;
use x509_cert::ext::pkix::{BasicConstraints, CrlDistributionPoints};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extensions_not_empty", rule: "RFC 5280 section 4.1.2.9", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    const EMPTY_SEQUENCE: &[u8] = &[0x30, 0];
    ensure(!subject.tbs.extensions().is_empty(), "there are no extensions")?;
    for extension in subject.tbs.extensions() {
        let is_list = extension.extn_id != BasicConstraints::OID;
        ensure(
            !is_list || extension.extn_value.as_bytes() != EMPTY_SEQUENCE,
            format!("the extension {} is an empty list", extension.extn_id),
        )?;
    }
    let points = subject.tbs.decode::<CrlDistributionPoints>().map(|points| points.0).unwrap_or_default();
    let is_place = |point: &DistributionPoint| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => !names.is_empty(),
        _ => false,
    };
    ensure(points.iter().all(is_place), "a CRL distribution point names no place")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, ExtendedKeyUsage, SubjectAltName};

    #[test]
    fn filled_lists_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_certificate_without_extensions_fails() {
        fixture::leaf().with(|tbs| tbs.extensions = None).fails(&LINT, "no extensions");
    }

    #[test]
    fn empty_lists_fail() {
        fixture::leaf().with_value(&SubjectAltName(vec![])).fails(&LINT, "empty list");
        fixture::leaf().with_value(&ExtendedKeyUsage(vec![])).fails(&LINT, "empty list");
        fixture::leaf().with_value(&AuthorityInfoAccessSyntax(vec![])).fails(&LINT, "empty list");
    }

    #[test]
    fn a_distribution_point_without_place_fails() {
        let point = DistributionPoint { distribution_point: None, reasons: None, crl_issuer: None };
        fixture::leaf().with_value(&CrlDistributionPoints(vec![point])).fails(&LINT, "names no place");
    }
}
