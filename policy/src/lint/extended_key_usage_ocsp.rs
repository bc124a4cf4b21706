//! A key that signs OCSP answers does nothing else, and no CA's certificate names that usage (RFC 6960
//! section 4.2.2.2, BR 7.1.2.8.5).
//!
//! Effective since June 2013 (alone: 2023-09-15, ballot SC-062).

use const_oid::db::rfc5280::ID_KP_OCSP_SIGNING;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extended_key_usage_ocsp", rule: "RFC 6960 section 4.2.2.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let purposes = subject.purposes();
    let is_responder = purposes.contains(&ID_KP_OCSP_SIGNING);
    ensure(!is_responder || purposes.len() == 1, "OCSPSigning stands beside another usage")?;
    ensure(!is_responder || !subject.is_ca(), "a CA's certificate has the usage OCSPSigning")
}

#[cfg(test)]
mod tests {
    use const_oid::db::rfc5280::ID_KP_SERVER_AUTH;
    use x509_cert::ext::pkix::ExtendedKeyUsage;

    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn a_responder_that_is_only_that_passes() {
        fixture::role(Role::OcspResponder).passes(&LINT);
    }

    #[test]
    fn a_responder_that_is_also_a_server_fails() {
        let usage = ExtendedKeyUsage(vec![ID_KP_OCSP_SIGNING, ID_KP_SERVER_AUTH]);
        fixture::role(Role::OcspResponder).with_value(&usage).fails(&LINT, "beside another");
    }

    #[test]
    fn a_ca_that_is_also_a_responder_fails() {
        fixture::root().with_value(&ExtendedKeyUsage(vec![ID_KP_OCSP_SIGNING])).fails(&LINT, "CA's certificate");
    }
}
