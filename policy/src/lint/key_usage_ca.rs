//! A CA's key signs certificates and CRLs and does nothing else (RFC 5280 section 4.2.1.3, BR 7.1.2.10.7).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "key_usage_ca", rule: "RFC 5280 section 4.2.1.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let usage = subject.tbs.decode::<KeyUsage>();
    let wanted = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
    ensure(
        !subject.is_ca() || usage.is_some_and(|usage| usage.0 == wanted),
        "a CA's key usage is not keyCertSign and cRLSign",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn a_root_passes() {
        fixture::root().passes(&LINT);
    }

    #[test]
    fn a_root_that_also_signs_data_fails() {
        let all = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign | KeyUsages::DigitalSignature);
        fixture::root().with_value(&all).fails(&LINT, "keyCertSign and cRLSign");
    }

    #[test]
    fn a_root_that_signs_no_crl_fails() {
        fixture::root().with_value(&KeyUsage(KeyUsages::KeyCertSign.into())).fails(&LINT, "keyCertSign and cRLSign");
    }
}
