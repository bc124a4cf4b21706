//! There is an authority key identifier, not critical, that holds the issuer's subject key identifier
//! and nothing else; only a self-signed root may go without (RFC 5280 section 4.2.1.1).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "authority_key_identifier", rule: "RFC 5280 section 4.2.1.1", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(extension) = subject.tbs.extension(AuthorityKeyIdentifier::OID) else {
        return ensure(subject.issuer.is_none(), "there is no authority key identifier");
    };
    ensure(!extension.critical, "the authority key identifier is critical")?;
    let own = subject.key.as_ref().map(|key| key.key_identifier().to_vec());
    let expected = subject.issuer.map(|issuer| issuer.key_identifier().to_vec()).or(own);
    let identifier = subject.tbs.decode::<AuthorityKeyIdentifier>().unwrap_or_default();
    ensure(
        identifier.authority_cert_issuer.is_none() && identifier.authority_cert_serial_number.is_none(),
        "the authority key identifier names a certificate, which binds the chain to one certificate of the issuer",
    )?;
    let key_identifier = identifier.key_identifier.map(|octets| octets.as_bytes().to_vec());
    ensure(key_identifier.is_some() && key_identifier == expected, "the authority key identifier is not the issuer's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::OctetString;

    #[test]
    fn the_identifier_of_the_issuer_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_root_without_passes() {
        fixture::root().without::<AuthorityKeyIdentifier>().passes(&LINT);
    }

    #[test]
    fn a_leaf_without_fails() {
        fixture::leaf().without::<AuthorityKeyIdentifier>().fails(&LINT, "no authority key identifier");
    }

    #[test]
    fn the_identifier_of_another_issuer_fails() {
        let key_identifier = Some(OctetString::new([7; 20]).unwrap());
        let other = AuthorityKeyIdentifier { key_identifier, ..Default::default() };
        fixture::leaf().with_value(&other).fails(&LINT, "not the issuer's");
        fixture::root().with_value(&other).fails(&LINT, "not the issuer's");
        fixture::leaf().with_value(&AuthorityKeyIdentifier::default()).fails(&LINT, "not the issuer's");
    }
}
