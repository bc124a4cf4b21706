//! Administrators: their keys, their certificates, and the list of them.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use policy::csr::Csr;
use policy::effects::{Entropy, UnixTime};
use policy::key::PublicKey;
use policy::rights;
use policy::tbs::{Certificate, Issuer, Role, RoleCertificate};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::certify::{ADMINISTRATOR_SECONDS, Certifier};
use super::record::{Ledger, entries, hexadecimal, rfc3339};
use super::{CeremonyError, files};
use crate::config::Config;
use crate::journal::Event;

/// Where an administrator's key comes from.
pub enum AdminKey {
    /// His own; this is the proof that he holds it.
    Csr(Csr),
    /// Made here, in software, because it was asked for.
    Software(SoftwareKey),
}

/// A key pair in software, on its way into a file.
pub struct SoftwareKey {
    public: PublicKey,
    pair: EcdsaKeyPair,
    pem: Zeroizing<String>,
}

impl AdminKey {
    /// The public half.
    pub fn public(&self) -> &PublicKey {
        match self {
            Self::Csr(csr) => csr.key(),
            Self::Software(key) => &key.public,
        }
    }

    /// PEM of the private half, if it is ours to give.
    pub fn private_pem(&self) -> Option<&Zeroizing<String>> {
        match self {
            Self::Csr(_) => None,
            Self::Software(key) => Some(&key.pem),
        }
    }
}

impl SoftwareKey {
    /// Draws a P-256 key from the generator of the operating system.
    pub fn generate() -> Result<Self, CeremonyError> {
        let fault = || CeremonyError::Refused("the software key could not be made: try again".to_owned());
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| fault())?;
        let private = pair.to_pkcs8v1().map_err(|_| fault())?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| fault())?;
        let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, private.as_ref());
        Ok(Self {
            public: PublicKey::from_spki(spki.as_ref()).map_err(|_| fault())?,
            pem: Zeroizing::new(pem.map_err(|_| fault())?),
            pair,
        })
    }

    /// The public half.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// ECDSA with SHA-256, as DER.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CeremonyError> {
        let fault = |_| CeremonyError::Refused("a software key could not sign: try again".to_owned());
        Ok(self.pair.sign(&SystemRandom::new(), message).map_err(fault)?.as_ref().to_vec())
    }
}

/// Certifies an administrator. The certificate and the enrolment are in the journal when this
/// returns.
pub(crate) fn enroll(
    certifier: &Certifier<'_>,
    issuer: &Issuer,
    name: &str,
    key: &AdminKey,
    ledger: &mut Ledger,
    entropy: &mut dyn Entropy,
) -> Result<Certificate, CeremonyError> {
    if key.public() == issuer.key() {
        return Err(CeremonyError::Refused("the administrator's key is the CA's key: make another CSR".to_owned()));
    }
    let what = RoleCertificate {
        role: Role::Administrator,
        common_name: name,
        organization: None,
        names: &[],
        pki_url: None,
        seconds: ADMINISTRATOR_SECONDS,
    };
    let certificate = certifier.role(&what, issuer, key.public(), ledger, entropy)?;
    ledger.write(Event::AdministratorEnrolled {
        name: name.to_owned(),
        fingerprint: hexadecimal(&certificate.sha256()),
        role: rights::Role::Administrator,
    })?;
    Ok(certificate)
}

/// An administrator as the journal knows him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Subject common name.
    pub name: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// What he may do.
    pub role: rights::Role,
    /// When he was enrolled.
    pub since: UnixTime,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}, enrolled {}", self.fingerprint, self.name, self.role, rfc3339(self.since))?;
        self.removed.map_or(Ok(()), |at| write!(f, ", removed {}", rfc3339(at)))
    }
}

/// Every administrator that the journal of this signer has seen, in the order of enrolment.
pub fn administrators(config: &Config) -> Result<Vec<Administrator>, CeremonyError> {
    let mut list: Vec<Administrator> = Vec::new();
    for line in entries(&config.state.join("journal"))? {
        let (entry, _) = line?;
        match entry.event {
            Event::AdministratorEnrolled { name, fingerprint, role } => {
                list.push(Administrator { name, fingerprint, role, since: entry.at, removed: None });
            }
            Event::AdministratorRoleSet { fingerprint, role } => {
                for one in list.iter_mut().filter(|one| one.fingerprint == fingerprint) {
                    one.role = role;
                }
            }
            Event::AdministratorRemoved { fingerprint } => {
                for gone in list.iter_mut().filter(|one| one.fingerprint == fingerprint) {
                    gone.removed = Some(entry.at);
                }
            }
            _ => {}
        }
    }
    Ok(list)
}

/// Reads a CSR, PEM or DER, and checks its proof of possession.
pub fn read_csr(path: &Path) -> Result<Csr, CeremonyError> {
    // PEM is a third larger than DER, and may have a preamble.
    let bytes = files::read(path, 2 * Csr::MAX_LEN as u64)?;
    let refused = |why: String| CeremonyError::Refused(format!("{}: {why}", path.display()));
    let der = match bytes.first() {
        Some(0x30) => bytes,
        _ => CertificateSigningRequestDer::from_pem_slice(&bytes)
            .map_err(|_| refused("it holds no CERTIFICATE REQUEST block: make one with `openssl req -new`".into()))?
            .to_vec(),
    };
    Csr::from_der(&der).map_err(|error| refused(error.to_string()))
}
