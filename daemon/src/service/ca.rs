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
}

impl Services {
    /// The issuing certificate and the root.
    pub fn ca_certificates(&self) -> Vec<CaCertificate> {
        [(self.issuer_key.as_str(), self.issuer.certificate()), ("root", &self.root)]
            .into_iter()
            .map(|(name, der)| CaCertificate::read(name, der).expect("boot read both certificates"))
            .collect()
    }
}
