//! A delegated OCSP responder has id-pkix-ocsp-nocheck, and nobody else has (RFC 6960 section 4.2.2.2.1, BR
//! 4.9.9).
//!
//! Effective since June 2013.

use const_oid::db::rfc5280::ID_KP_OCSP_SIGNING;
use const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK;

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "ocsp_nocheck", rule: "RFC 6960 section 4.2.2.2.1", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let is_responder = subject.purposes().contains(&ID_KP_OCSP_SIGNING);
    match (is_responder, subject.tbs.extension(ID_PKIX_OCSP_NOCHECK).is_some()) {
        (true, false) => Err("an OCSP responder lacks id-pkix-ocsp-nocheck".to_owned()),
        (false, true) => {
            Err("a certificate that is no OCSP responder's could never be revoked (ocsp-nocheck)".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
    use x509_cert::ext::pkix::ExtendedKeyUsage;

    use super::*;
    use crate::asn1::RawTbs;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn a_leaf_without_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_responder_with_it_passes() {
        fixture::role(Role::OcspResponder).passes(&LINT);
    }

    #[test]
    fn a_responder_without_it_fails() {
        let remove = |tbs: &mut RawTbs| tbs.extensions.as_mut().unwrap().retain(|e| e.extn_id != ID_PKIX_OCSP_NOCHECK);
        fixture::role(Role::OcspResponder).with(remove).fails(&LINT, "lacks");
    }

    #[test]
    fn a_responder_that_becomes_a_server_fails() {
        let usage = ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH]);
        fixture::role(Role::OcspResponder).with_value(&usage).fails(&LINT, "never be revoked");
    }
}
