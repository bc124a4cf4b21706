//! The authority key identifier is the issuer's key identifier, not critical (RFC 5280 section
//! 5.2.1).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "authority_key_identifier", rule: "RFC 5280 section 5.2.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let identifier = subject.raw.decode::<AuthorityKeyIdentifier>().and_then(|identifier| identifier.key_identifier);
    let identifier = identifier.ok_or("there is no authority key identifier")?;
    ensure(
        identifier.as_bytes() == subject.issuer.key_identifier(),
        "the authority key identifier is not that of the issuer's key",
    )
}

#[cfg(test)]
mod tests {
    use der::asn1::OctetString;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn the_issuers_passes() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn none_or_another_one_fails() {
        fixture::complete().without::<AuthorityKeyIdentifier>().fails(&LINT, "no authority");
        let key_identifier = Some(OctetString::new([7; 20]).unwrap());
        let other = AuthorityKeyIdentifier { key_identifier, ..Default::default() };
        fixture::complete().with_value(&other).fails(&LINT, "not that");
    }
}
