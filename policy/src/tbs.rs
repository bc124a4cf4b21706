//! To-be-signed bytes, deterministic: the same inputs give the same bytes, so the signer can build
//! them again and compare (J4).

use crate::effects::UnixTime;
use crate::key::{PublicKey, SignatureScheme};
use crate::lint::Finding;
use crate::profile::{Profile, Terms};
use crate::serial::Serial;
use crate::validity::{Validity, ValidityError};

/// A CA certificate in the role of an issuer, parsed once.
#[derive(Clone, Debug)]
pub struct Issuer {
    certificate: Vec<u8>,
    key: PublicKey,
    validity: Validity,
}

/// The DER of a TBSCertificate (RFC 5280 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TbsCertificate(Vec<u8>);

/// TBS bytes that every lint has read without a finding. Only these may be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linted(TbsCertificate);

/// A signed certificate: DER, parsed for the fields that are asked for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
}

/// The kinds of certificates the ceremony and the daemon itself need; leaves come from profiles.
#[derive(Clone, Debug)]
pub enum Role {
    /// Enrolled administrator: clientAuth, named by common name.
    Administrator,
    /// Issuing CA under the root: path length 0.
    IssuingCa,
    /// Delegated OCSP responder, RFC 6960 section 4.2.2.2, with id-pkix-ocsp-nocheck.
    OcspResponder,
    /// The appliance's own TLS server.
    TlsServer,
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TbsError {
    /// DER that cannot be encoded or decoded.
    #[error("the certificate cannot be encoded: {0}")]
    Der(String),
    /// A lint found something.
    #[error("the certificate would break {} rule(s), first: {}", .0.len(), .0.first().map(|finding| finding.to_string()).unwrap_or_default())]
    Lint(Vec<Finding>),
    /// No validity is left.
    #[error(transparent)]
    Validity(#[from] ValidityError),
}

impl Issuer {
    /// Parses a CA certificate (DER) and checks that it is one: cA TRUE, keyCertSign.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        let _ = der;
        unimplemented!()
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuer's key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The issuer's own validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

/// Builds the TBS of a leaf on policy's terms.
pub fn leaf(
    profile: &Profile,
    terms: &Terms,
    issuer: &Issuer,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, TbsError> {
    let _ = (profile, terms, issuer, key, serial, now);
    unimplemented!()
}

/// Builds the TBS of a self-signed root named `common_name`, `organization`.
pub fn root(
    common_name: &str,
    organization: &str,
    key: &PublicKey,
    serial: Serial,
    validity: Validity,
) -> Result<TbsCertificate, TbsError> {
    let _ = (common_name, organization, key, serial, validity);
    unimplemented!()
}

/// What a certificate for one of our own roles says.
#[derive(Clone, Debug)]
pub struct RoleCertificate<'a> {
    /// Which role.
    pub role: Role,
    /// Subject common name.
    pub common_name: &'a str,
    /// Subject organization, for CA certificates.
    pub organization: Option<&'a str>,
    /// Subject alternative names (TLS server only).
    pub names: &'a [crate::name::Name],
    /// Where the issuer's certificate and CRL are published, if anywhere (plain HTTP base URL).
    pub pki_url: Option<&'a str>,
    /// Length in seconds, both ends included.
    pub seconds: u64,
}

/// Builds the TBS of a certificate for one of our own roles.
pub fn role(
    what: &RoleCertificate<'_>,
    issuer: &Issuer,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, TbsError> {
    let _ = (what, issuer, key, serial, now);
    unimplemented!()
}

impl TbsCertificate {
    /// Takes bytes from elsewhere (the wire). They are DER of a TBSCertificate or refused.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        let _ = der;
        unimplemented!()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Runs every lint over these bytes. `issuer` is `None` for a self-signed root.
    pub fn lint(self, issuer: Option<&Issuer>) -> Result<Linted, TbsError> {
        let _ = issuer;
        unimplemented!()
    }

    /// The serial number in the bytes.
    pub fn serial(&self) -> Result<Serial, TbsError> {
        unimplemented!()
    }

    /// The validity in the bytes.
    pub fn validity(&self) -> Result<Validity, TbsError> {
        unimplemented!()
    }

    /// The subject's key in the bytes.
    pub fn key(&self) -> Result<PublicKey, TbsError> {
        unimplemented!()
    }
}

impl Linted {
    /// The bytes to sign.
    pub fn tbs(&self) -> &TbsCertificate {
        &self.0
    }

    /// Joins the bytes and a signature that verifies with the issuer's key; refuses one that does not.
    pub fn assemble(
        self,
        issuer_key: &PublicKey,
        scheme: SignatureScheme,
        signature: &[u8],
    ) -> Result<Certificate, TbsError> {
        let _ = (issuer_key, scheme, signature);
        unimplemented!()
    }
}

impl Certificate {
    /// Parses DER; trailing bytes are refused.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        let _ = der;
        unimplemented!()
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The TBS bytes as they stand in the certificate.
    pub fn tbs(&self) -> &[u8] {
        unimplemented!()
    }

    /// PEM, one block, RFC 7468.
    pub fn to_pem(&self) -> String {
        unimplemented!()
    }

    /// Serial number as it stands in the certificate, as octets (foreign certificates included).
    pub fn serial(&self) -> &[u8] {
        unimplemented!()
    }

    /// Validity.
    pub fn validity(&self) -> Validity {
        unimplemented!()
    }

    /// Subject alternative names (DNS and IP).
    pub fn names(&self) -> &[crate::name::Name] {
        unimplemented!()
    }

    /// Subject, RFC 4514 text.
    pub fn subject(&self) -> String {
        unimplemented!()
    }

    /// Issuer, RFC 4514 text.
    pub fn issuer(&self) -> String {
        unimplemented!()
    }

    /// The subject's key, if it is of a kind we know.
    pub fn key(&self) -> Result<PublicKey, crate::key::KeyError> {
        unimplemented!()
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        unimplemented!()
    }

    /// Verifies this certificate's signature with `issuer_key`.
    pub fn verify(&self, issuer_key: &PublicKey) -> Result<(), crate::key::BadSignature> {
        let _ = issuer_key;
        unimplemented!()
    }
}
