//! Lints over to-be-signed bytes: one file a lint, each citing its rule.
//!
//! They read the bytes again from DER, in a form loose enough to hold what the builders would never
//! write, so that a fault in a builder or a tampered message is found by other code than its own.

mod alternative_names_critical;
mod alternative_names_distinct;
mod alternative_names_present;
mod alternative_names_syntax;
mod authority_key_identifier;
mod basic_constraints;
mod ca_name_differs;
mod common_name_in_names;
mod der_canonical;
mod extended_key_usage_any;
mod extended_key_usage_ocsp;
mod extended_key_usage_present;
mod extensions_criticality;
mod extensions_distinct;
mod extensions_known;
mod extensions_not_empty;
#[cfg(test)]
mod fixture;
mod issuer_name;
mod key_differs_from_issuer;
mod key_strength;
mod key_usage_ca;
mod key_usage_fits_key;
mod key_usage_leaf;
mod key_usage_present;
mod ocsp_nocheck;
mod path_length;
mod serial_entropy;
mod serial_length;
mod serial_minimal;
mod serial_positive;
mod signature_algorithm;
mod subject_attributes;
mod subject_key_identifier;
mod total_size;
mod unique_identifiers;
mod url_scheme;
mod validity_encoding;
mod validity_order;
mod validity_within_issuer;
mod version_v3;

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name as DistinguishedName;

use crate::asn1::RawTbs;
use crate::key::PublicKey;
use crate::tbs::{self, Issuer};

/// What a lint found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The lint's name, as its file is called.
    pub lint: &'static str,
    /// The rule it cites.
    pub rule: &'static str,
    /// What is wrong, in one sentence.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.lint, self.detail, self.rule)
    }
}

/// A lint: its name, the rule it enforces, and the check, whose error says what is wrong.
struct Lint {
    name: &'static str,
    rule: &'static str,
    check: fn(&Subject<'_>) -> Result<(), String>,
}

/// Runs every lint. `issuer` is `None` for a self-signed root.
pub(crate) fn run(der: &[u8], tbs: &RawTbs, issuer: Option<&Issuer>) -> Vec<Finding> {
    let subject = Subject::new(der, tbs, issuer);
    let finding = |lint: &Lint| {
        let detail = (lint.check)(&subject).err()?;
        Some(Finding { lint: lint.name, rule: lint.rule, detail })
    };
    LINTS.iter().filter_map(finding).collect()
}

/// What a lint reads: the bytes, their parsed form, and who is to sign them.
struct Subject<'a> {
    der: &'a [u8],
    tbs: &'a RawTbs,
    issuer: Option<&'a Issuer>,
    /// The subject's key, if it is sound.
    key: Option<PublicKey>,
}

impl<'a> Subject<'a> {
    fn new(der: &'a [u8], tbs: &'a RawTbs, issuer: Option<&'a Issuer>) -> Self {
        Self { der, tbs, issuer, key: tbs::subject_key(tbs).ok() }
    }

    fn is_ca(&self) -> bool {
        self.tbs.decode::<BasicConstraints>().is_some_and(|constraints| constraints.ca)
    }

    /// The key that is to sign: the issuer's, or a root's own.
    fn issuer_key(&self) -> Option<&PublicKey> {
        self.issuer.map(Issuer::key).or(self.key.as_ref())
    }

    /// The subject of whoever is to sign.
    fn issuer_subject(&self) -> &DistinguishedName {
        self.issuer.map_or(&self.tbs.subject, Issuer::subject)
    }

    /// The extended key usages, none if there is no such extension.
    fn purposes(&self) -> Vec<ObjectIdentifier> {
        self.tbs.decode::<ExtendedKeyUsage>().map(|usage| usage.0).unwrap_or_default()
    }

    fn is_server(&self) -> bool {
        self.purposes().contains(&ID_KP_SERVER_AUTH)
    }

    /// The subject alternative names, none if there is no such extension.
    fn alternative_names(&self) -> Vec<GeneralName> {
        self.tbs.decode::<SubjectAltName>().map(|names| names.0).unwrap_or_default()
    }
}

/// `Ok` if it holds, or else the detail.
fn ensure(holds: bool, detail: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail.into()) }
}

/// Every lint, by name.
const LINTS: &[Lint] = &[
    alternative_names_critical::LINT,
    alternative_names_distinct::LINT,
    alternative_names_present::LINT,
    alternative_names_syntax::LINT,
    authority_key_identifier::LINT,
    basic_constraints::LINT,
    ca_name_differs::LINT,
    common_name_in_names::LINT,
    der_canonical::LINT,
    extended_key_usage_any::LINT,
    extended_key_usage_ocsp::LINT,
    extended_key_usage_present::LINT,
    extensions_criticality::LINT,
    extensions_distinct::LINT,
    extensions_known::LINT,
    extensions_not_empty::LINT,
    issuer_name::LINT,
    key_differs_from_issuer::LINT,
    key_strength::LINT,
    key_usage_ca::LINT,
    key_usage_fits_key::LINT,
    key_usage_leaf::LINT,
    key_usage_present::LINT,
    ocsp_nocheck::LINT,
    path_length::LINT,
    serial_entropy::LINT,
    serial_length::LINT,
    serial_minimal::LINT,
    serial_positive::LINT,
    signature_algorithm::LINT,
    subject_attributes::LINT,
    subject_key_identifier::LINT,
    total_size::LINT,
    unique_identifiers::LINT,
    url_scheme::LINT,
    validity_encoding::LINT,
    validity_order::LINT,
    validity_within_issuer::LINT,
    version_v3::LINT,
];

#[cfg(test)]
mod tests {
    use der::Decode;

    use super::*;

    #[test]
    fn the_table_holds_each_lint_once_in_order() {
        assert!(LINTS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(LINTS.len() >= 25);
    }

    #[test]
    fn bytes_that_break_several_rules_give_several_findings() {
        let cas = crate::testing::Hierarchy::new(crate::key::KeyAlgorithm::P256);
        let root = crate::tbs::Certificate::from_der(cas.root.certificate()).unwrap();
        let tbs = RawTbs::from_der(root.tbs()).unwrap();
        assert_eq!(run(root.tbs(), &tbs, None), []);
        // A root is no certificate that the issuing CA may sign.
        let findings: Vec<&str> =
            run(root.tbs(), &tbs, Some(&cas.issuing)).iter().map(|finding| finding.lint).collect();
        for lint in ["authority_key_identifier", "issuer_name", "path_length", "validity_within_issuer"] {
            assert!(findings.contains(&lint), "{lint}: {findings:?}");
        }
    }
}
