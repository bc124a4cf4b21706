//! Signing on the console, with the service stopped: the break-glass, and single certificates.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use policy::crl::{Facts, Reason};
use policy::effects::{Clock, Entropy, UnixTime};
use policy::key::PublicKey;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs::{Certificate, Issuer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::certify::{Certifier, DAY, record};
use super::crl::{Certified, SignedCrl};
use super::custody::Custody;
use super::guise::Guise;
use super::record::{Ledger, hexadecimal};
use super::{AdminKey, CeremonyError, admin, files};
use crate::config::Config;
use crate::journal::{Event, OpenError};
use crate::pkcs11::Pin;
use crate::signer::console::{Console, Wish};

/// The journal is ours, so the service is stopped; the token is still closed.
pub struct LockedConsole {
    config: Config,
    ledger: Ledger,
    // Last, so that files and token are closed as they were opened.
    guise: Guise,
}

/// A token, opened on the console.
pub struct SigningConsole {
    signer: Console,
    ledger: Ledger,
    _guise: Guise,
}

/// What a console command hands out.
pub struct Issued {
    /// PEM: the certificate, then its issuer's.
    pub chain: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
}

/// A CA certificate that is to be revoked.
pub struct Revocation {
    /// Which.
    pub certificate: Certificate,
    /// Why.
    pub reason: Reason,
}

/// The root's CRL.
pub struct RootCrl {
    /// DER.
    pub der: Vec<u8>,
    /// Its number.
    pub number: u64,
    /// When the next one must be there.
    pub next_update: UnixTime,
    /// How many certificates it lists.
    pub entries: u64,
}

/// Reads a certificate, PEM or DER.
pub fn read_certificate(path: &Path) -> Result<Certificate, CeremonyError> {
    let bytes = files::read(path, 2 * Certificate::MAX_LEN as u64)?;
    let refused = |why: String| CeremonyError::Refused(format!("{}: {why}", path.display()));
    let der = match bytes.first() {
        Some(0x30) => bytes,
        _ => CertificateDer::from_pem_slice(&bytes)
            .map_err(|_| refused("it holds no CERTIFICATE block: name a certificate in PEM or DER".into()))?
            .to_vec(),
    };
    Certificate::from_der(&der).map_err(|error| refused(error.to_string()))
}

impl SigningConsole {
    /// Takes the journal's lock. Only root and the owner of the state directory may; a signer that
    /// runs holds the lock, and the error says how to stop it.
    ///
    /// Until the console is dropped, root has only the rights of that owner: read what needs root
    /// before, and write it after.
    pub fn lock(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: &mut dyn Entropy,
    ) -> Result<LockedConsole, CeremonyError> {
        let state = config.state.display().to_string();
        let meta = std::fs::metadata(&config.state)
            .map_err(|error| CeremonyError::Refused(format!("{state}: {error}; run `signet-signer init` first")))?;
        let user = nix::unistd::geteuid();
        if !user.is_root() && user.as_raw() != meta.uid() {
            return Err(CeremonyError::Refused(format!("only root and the owner of {state} can do this: use sudo")));
        }
        let guise = Guise::of(&config.state)?;
        let ledger = match Ledger::open(&config.state.join("journal"), clock, entropy) {
            Err(CeremonyError::JournalOpen(OpenError::Locked(_))) => {
                return Err(CeremonyError::Refused(format!(
                    "the signer {0} runs and writes the journal: run `systemctl stop signet-signer@{0}` first",
                    config.name
                )));
            }
            ledger => ledger?,
        };
        Ok(LockedConsole { config, ledger, guise })
    }

    /// Signs an administrator's certificate. It is journalled when this returns.
    pub fn add_administrator(
        &mut self,
        name: &str,
        key: &AdminKey,
        entropy: &mut dyn Entropy,
    ) -> Result<Issued, CeremonyError> {
        if self.signer.holds(key.public()) {
            return Err(CeremonyError::Refused("this is one of the CA's own keys: make another CSR".to_owned()));
        }
        let (token, key_in_token, issuer) = self.signer.issuing()?;
        let certifier = Certifier { token, key: key_in_token };
        let certificate = admin::enroll(&certifier, issuer, name, key, &mut self.ledger, entropy)?;
        self.handed_out(certificate.der())
    }

    /// Signs one certificate for names that the operator vouches for, through the same checks as
    /// the service's. It is journalled when this returns.
    pub fn issue(
        &mut self,
        profile: &str,
        key: &PublicKey,
        names: &[Name],
        common_name: Option<&str>,
        entropy: &mut dyn Entropy,
    ) -> Result<Issued, CeremonyError> {
        let wish = Wish { profile, key, names, common_name, record: record(&self.ledger, names) };
        let event = self.signer.issue(wish, self.ledger.now(), self.ledger.writer.at(), entropy)?;
        let der = match &event {
            Event::Certificate { certificate, .. } => certificate.clone(),
            _ => return Err(CeremonyError::Refused("the signer made no certificate: look at its log".to_owned())),
        };
        self.ledger.write(event)?;
        self.handed_out(&der)
    }

    fn handed_out(&self, der: &[u8]) -> Result<Issued, CeremonyError> {
        let (_, _, issuer) = self.signer.issuing()?;
        let (certificate, issuer) = (Certificate::from_der(der)?, Certificate::from_der(issuer.certificate())?);
        Ok(Issued { chain: certificate.to_pem() + &issuer.to_pem(), fingerprint: hexadecimal(&certificate.sha256()) })
    }
}

impl LockedConsole {
    /// Signs the root's CRL with the root's token, whose configuration, with SoftHSM, and whose
    /// certificate stand in `directory`. The journal says whom the root certified and which of them are
    /// revoked; `revoke` is revoked first. All of it is journalled when this returns.
    pub fn root_crl(
        mut self,
        directory: &Path,
        module: &Path,
        pin: Zeroizing<Vec<u8>>,
        revoke: Option<&Revocation>,
        days: u64,
    ) -> Result<RootCrl, CeremonyError> {
        let root = Issuer::from_der(read_certificate(&directory.join("ca/root.pem"))?.der())?;
        let journal = self.config.state.join("journal");
        let mut certified = Certified::by(ROOT_KEY, &journal)?;
        let pin = Pin(pin);
        let token = Custody::attached("root", module, directory, &pin).open()?;
        let key = token.key(ROOT_KEY)?;
        if key.public != *root.key() {
            let why = "the root's key in this token is not that of ca/root.pem: attach the token of this CA";
            return Err(CeremonyError::Refused(why.to_owned()));
        }
        if let Some(Revocation { certificate, reason }) = revoke {
            let serial = Serial::from_slice(certificate.serial()).ok();
            let known = serial.filter(|serial| certified.serials.contains(serial));
            let known =
                known.filter(|_| certificate.verify(root.key()).is_ok() && certificate.der() != root.certificate());
            let Some(serial) = known else {
                let why = "the root did not certify this CA: name the certificate of a CA under this root";
                return Err(CeremonyError::Refused(why.to_owned()));
            };
            let (reason, at) = (Some(reason.code()), self.ledger.now());
            self.ledger.write(Event::Revoked { serials: vec![serial], reason, at, invalidity_date: None })?;
            certified = Certified::by(ROOT_KEY, &journal)?;
        }
        let certifier = Certifier { token: &token, key: &key };
        let SignedCrl { der, facts } = certifier.crl(&root, &certified.listed(), days * DAY, &mut self.ledger)?;
        let Facts { number, next_update, entries, .. } = facts;
        Ok(RootCrl { der, number: number.unwrap_or_default(), next_update, entries })
    }

    /// Opens the token, with one attempt as [`LockedConsole::open`], and lets each key sign something
    /// that means nothing. Says of each key what it is.
    pub fn rehearse(mut self, pin: Zeroizing<Vec<u8>>) -> Result<Vec<String>, CeremonyError> {
        Ok(crate::signer::console::rehearse(&self.config, &mut self.ledger.writer, &Pin(pin))?)
    }

    /// Opens the token: one attempt, which is counted, and journalled when it fails.
    pub fn open(mut self, pin: Zeroizing<Vec<u8>>) -> Result<SigningConsole, CeremonyError> {
        let signer = Console::open(&self.config, &mut self.ledger.writer, &Pin(pin))?;
        Ok(SigningConsole { signer, ledger: self.ledger, _guise: self.guise })
    }
}

/// The label of the root's key.
const ROOT_KEY: &str = "root-1";
