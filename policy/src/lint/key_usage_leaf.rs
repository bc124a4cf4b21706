//! Only a CA's key may sign certificates and CRLs (RFC 5280 section 4.2.1.3 and 4.2.1.9).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::KeyUsage;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "key_usage_leaf", rule: "RFC 5280 section 4.2.1.9", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let usage = subject.tbs.decode::<KeyUsage>();
    let signs = usage.is_some_and(|usage| usage.key_cert_sign() || usage.crl_sign());
    ensure(subject.is_ca() || !signs, "the key of a certificate that is no CA's may sign certificates or CRLs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use x509_cert::ext::pkix::KeyUsages;

    #[test]
    fn a_leaf_that_signs_data_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_leaf_that_signs_certificates_or_crls_fails() {
        for usage in [KeyUsages::KeyCertSign, KeyUsages::CRLSign] {
            fixture::leaf().with_value(&KeyUsage(usage.into())).fails(&LINT, "no CA's");
        }
    }
}
