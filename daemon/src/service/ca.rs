//! The CA's own certificates: public, sealed or not.

use policy::tbs::{Certificate, Issuer, TbsError};

use super::Services;

/// One CA certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// What it is called in URLs: `root`, or the label of its key.
    pub name: String,
    /// What certificates that it issued call it in their authority information access: the key
    /// identifier, hexadecimal (see [`policy::tbs::RoleCertificate::pki_url`]).
    pub key_identifier: String,
    /// DER.
    pub der: Vec<u8>,
    /// PEM, one block.
    pub pem: String,
    /// Its fields.
    pub certificate: Certificate,
}

impl CaCertificate {
    /// Reads a CA certificate.
    pub fn read(name: &str, der: &[u8]) -> Result<Self, TbsError> {
        let certificate = Certificate::from_der(der)?;
        let key_identifier =
            Issuer::from_der(der)?.key_identifier().iter().map(|octet| format!("{octet:02x}")).collect();
        let pem = certificate.to_pem();
        Ok(Self { name: name.to_owned(), key_identifier, der: der.to_vec(), pem, certificate })
    }

    /// The certificate alone in a CMS SignedData without a signer, DER.
    pub fn p7c(&self) -> Vec<u8> {
        certs_only(&[&self.der])
    }
}

/// Certificates in a CMS SignedData without a signer (RFC 5652 section 5.1, "certs-only"), DER. As they
/// are a set, they are sorted.
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    const SIGNED_DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    const VERSION_1: &[u8] = &[2, 1, 1];
    let mut certificates = certificates.to_vec();
    certificates.sort_unstable();
    let certificates = element(CONTEXT_0, &certificates.concat());
    let none = element(SET, &[]);
    let content = [VERSION_1, &none, &element(SEQUENCE, DATA), &certificates, &none].concat();
    let signed = element(CONTEXT_0, &element(SEQUENCE, &content));
    element(SEQUENCE, &[SIGNED_DATA, &signed].concat())
}

/// One DER element.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut element = vec![tag];
    match contents.len() {
        0..=127 => element.push(contents.len() as u8),
        _ => {
            element.push(0x80 | significant.len() as u8);
            element.extend(significant);
        }
    }
    element.extend(contents);
    element
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// What the root is called in URLs.
pub const ROOT: &str = "root";

impl Services {
    /// The issuing certificate and the root.
    pub fn ca_certificates(&self) -> Vec<CaCertificate> {
        [(self.issuer_key.as_str(), self.issuer.now().certificate()), (ROOT, &self.root)]
            .into_iter()
            .map(|(name, der)| CaCertificate::read(name, der).expect("boot read both certificates"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    #[test]
    fn the_certificate_alone_in_cms_is_read_by_openssl() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let authority = Authority::new();
        let ca = CaCertificate::read(ROOT, authority.issuer.certificate()).unwrap();
        let mut openssl = Command::new("openssl")
            .args(["pkcs7", "-inform", "DER", "-print_certs"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(&ca.p7c()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(ca.pem.trim()), "{text}");
    }

    #[test]
    fn lengths_are_as_short_as_der_wants_them() {
        assert_eq!(element(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }
}
