//! Every extension is one that Signet means to write (I19; RFC 5280 section 4.2 for critical ones), and its
//! content decodes and encodes to the same bytes (X.690 section 10).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK;
use der::asn1::Null;
use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage,
    KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extensions_known", rule: "RFC 5280 section 4.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    for Extension { extn_id, extn_value, .. } in subject.tbs.extensions() {
        let content = extn_value.as_bytes();
        let canonical = match *extn_id {
            AuthorityInfoAccessSyntax::OID => reencodes::<AuthorityInfoAccessSyntax>(content),
            AuthorityKeyIdentifier::OID => reencodes::<AuthorityKeyIdentifier>(content),
            BasicConstraints::OID => reencodes::<BasicConstraints>(content),
            CrlDistributionPoints::OID => reencodes::<CrlDistributionPoints>(content),
            ExtendedKeyUsage::OID => reencodes::<ExtendedKeyUsage>(content),
            KeyUsage::OID => reencodes::<KeyUsage>(content),
            ID_PKIX_OCSP_NOCHECK => reencodes::<Null>(content),
            SubjectAltName::OID => reencodes::<SubjectAltName>(content),
            SubjectKeyIdentifier::OID => reencodes::<SubjectKeyIdentifier>(content),
            other => return Err(format!("the extension {other} is none that Signet writes")),
        };
        ensure(canonical, format!("the content of the extension {extn_id} is not its DER"))?;
    }
    Ok(())
}

fn reencodes<'a, T: Decode<'a> + Encode>(content: &'a [u8]) -> bool {
    T::from_der(content).is_ok_and(|value| value.to_der().is_ok_and(|der| der == content))
}

#[cfg(test)]
mod tests {
    use der::asn1::OctetString;

    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn the_extensions_of_a_leaf_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn the_extensions_of_every_role_pass() {
        for role in [Role::Administrator, Role::IssuingCa, Role::OcspResponder, Role::TlsServer] {
            fixture::role(role).passes(&LINT);
        }
        fixture::root().passes(&LINT);
    }

    #[test]
    fn an_unknown_extension_fails_critical_or_not() {
        for critical in [true, false] {
            let unknown = Extension {
                extn_id: "1.3.6.1.4.1.99999.1".parse().unwrap(),
                critical,
                extn_value: OctetString::new([5, 0]).unwrap(),
            };
            fixture::leaf().with(|tbs| tbs.extensions.as_mut().unwrap().push(unknown)).fails(&LINT, "none that");
        }
    }

    #[test]
    fn content_that_is_not_der_fails() {
        // BIT STRING of one bit with a needless octet: named bits end at the last one (X.690 11.2.2).
        let padded = OctetString::new([3, 3, 0, 0x80, 0]).unwrap();
        fixture::leaf().with_extension::<KeyUsage>(|e| e.extn_value = padded).fails(&LINT, "not its DER");
        // cA FALSE written out, although it is the default (X.690 11.5).
        let spelled = OctetString::new([0x30, 3, 1, 1, 0]).unwrap();
        fixture::root().with_extension::<BasicConstraints>(|e| e.extn_value = spelled).fails(&LINT, "not its DER");
        let garbage = OctetString::new([0xff]).unwrap();
        fixture::leaf().with_extension::<SubjectAltName>(|e| e.extn_value = garbage).fails(&LINT, "not its DER");
    }
}
