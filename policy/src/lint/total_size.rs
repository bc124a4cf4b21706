//! A certificate is small enough for a TLS handshake that common servers accept: OpenSSL reads 100 KiB of
//! certificates (`SSL_CTX_set_max_cert_list`), of which one takes at most a third.
//!
//! Effective since OpenSSL 0.9.7.

use crate::tbs::TbsCertificate;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "total_size", rule: "OpenSSL SSL_CTX_set_max_cert_list(3)", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let (size, max) = (subject.der.len(), TbsCertificate::MAX_LEN);
    ensure(size <= max, format!("{size} bytes are more than {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::Ia5String;
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;

    #[test]
    fn a_usual_certificate_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_certificate_with_two_thousand_names_fails() {
        let name = |index| GeneralName::DnsName(Ia5String::new(&format!("host-{index}.example.test")).unwrap());
        fixture::leaf().with_value(&SubjectAltName((0..2000).map(name).collect())).fails(&LINT, "more than 32768");
    }
}
