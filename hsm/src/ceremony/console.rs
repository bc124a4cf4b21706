//! Signing on the console, with the service stopped: the break-glass, and single certificates.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::effects::{Clock, Entropy};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::{Decision, Profile};
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::certify::{Certifier, record};
use super::record::{Ledger, hexadecimal};
use super::{AdminKey, CeremonyError, admin, files};
use crate::config::{Config, Key};
use crate::journal::{Event, OpenError};
use crate::pkcs11::{LoginError, Pin, Token, TokenConfig, TokenKey};
use crate::wire::Purpose;

/// The journal is ours, so the service is stopped; the token is still closed.
pub struct LockedConsole {
    config: Config,
    ledger: Ledger,
}

/// A token, opened on the console.
pub struct SigningConsole {
    config: Config,
    ledger: Ledger,
    token: Token,
    key: TokenKey,
    issuer: Issuer,
}

/// What a console command hands out.
pub struct Issued {
    /// PEM: the certificate, then its issuer's.
    pub chain: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
}

impl SigningConsole {
    /// Takes the journal's lock. Only root and the owner of the state directory may; a signer that
    /// runs holds the lock, and the error says how to stop it.
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
        let ledger = match Ledger::open(&config.state.join("journal"), clock, entropy) {
            Err(CeremonyError::JournalOpen(OpenError::Locked(_))) => {
                return Err(CeremonyError::Refused(format!(
                    "the signer {0} runs and writes the journal: run `systemctl stop signet-signer@{0}.socket signet-signer@{0}.service` first",
                    config.name
                )));
            }
            ledger => ledger?,
        };
        Ok(LockedConsole { config, ledger })
    }

    /// Signs an administrator's certificate. It is journalled when this returns.
    pub fn add_administrator(
        &mut self,
        name: &str,
        key: &AdminKey,
        entropy: &mut dyn Entropy,
    ) -> Result<Issued, CeremonyError> {
        self.not_ours(key.public())?;
        let certifier = Certifier { token: &self.token, key: &self.key };
        let certificate = admin::enroll(&certifier, &self.issuer, name, key, &mut self.ledger, entropy)?;
        self.handed_out(&certificate)
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
        self.not_ours(key)?;
        let profile = read_profile(&self.config, profile)?;
        let evidence = record(&self.ledger, names);
        let now = self.ledger.now();
        let terms = match profile.decide(key, names, common_name, &evidence, now) {
            Decision::Issue(terms) => terms,
            Decision::Refuse(refusal) => return Err(CeremonyError::Refused(refusal.to_string())),
        };
        let tbs = tbs::leaf(&profile, &terms, &self.issuer, key, Serial::generate(entropy)?, now)?;
        let certificate = Certifier { token: &self.token, key: &self.key }.certify(
            tbs,
            Some(&self.issuer),
            (profile.name(), &hexadecimal(&profile.digest())),
            evidence,
            &mut self.ledger,
        )?;
        self.handed_out(&certificate)
    }

    /// A key of the CA's own is never somebody else's (BR 6.1.1.3).
    fn not_ours(&self, key: &PublicKey) -> Result<(), CeremonyError> {
        for own in &self.config.keys {
            if self.token.key(&own.label)?.public == *key {
                return Err(CeremonyError::Refused(format!("this is the CA's key {}: make another CSR", own.label)));
            }
        }
        Ok(())
    }

    /// What was written as root is given back to the account of the service.
    fn handed_out(&self, certificate: &Certificate) -> Result<Issued, CeremonyError> {
        if nix::unistd::geteuid().is_root() {
            let state = &self.config.state;
            let meta = std::fs::metadata(state)
                .map_err(|error| CeremonyError::Refused(format!("{}: {error}", state.display())))?;
            files::hand_over(state, meta.uid(), meta.gid())?;
        }
        let issuer = Certificate::from_der(self.issuer.certificate())?;
        Ok(Issued { chain: certificate.to_pem() + &issuer.to_pem(), fingerprint: hexadecimal(&certificate.sha256()) })
    }
}

impl LockedConsole {
    /// Opens the token: one attempt, which the journal hears of when it fails.
    pub fn open(mut self, pin: Zeroizing<Vec<u8>>) -> Result<SigningConsole, CeremonyError> {
        let key = issuing_key(&self.config)?.clone();
        let issuer = Issuer::from_der(&read_certificate(&key)?)?;
        let token = Token::open(&TokenConfig {
            module: &self.config.module,
            arguments: self.config.module_arguments.as_deref(),
            environment: &self.config.environment,
            uri: &self.config.token,
            sessions: 1,
            deadline: self.config.deadline,
        })?;
        if let Err(error) = token.login(&Pin(pin)) {
            if matches!(error, LoginError::WrongPin | LoginError::Locked) {
                self.ledger.write(Event::UnsealFailed { why: error.to_string() })?;
            }
            return Err(error.into());
        }
        let in_token = token.key(&key.label)?;
        if in_token.public != *issuer.key() {
            return Err(CeremonyError::Refused(format!(
                "the key {} in the token is not the one in its certificate: correct `certificate` in the configuration",
                key.label
            )));
        }
        Ok(SigningConsole { config: self.config, ledger: self.ledger, token, key: in_token, issuer })
    }
}

/// Reads what a configuration names: its profiles, and the certificates of its keys.
pub fn check(config: &Config) -> Result<(), CeremonyError> {
    if let Some(directory) = &config.profiles {
        for path in profile_files(directory)? {
            parse_profile(&path)?;
        }
    }
    for key in config.keys.iter().filter(|key| key.certificate.is_some()) {
        Certificate::from_der(&read_certificate(key)?)?.key().map_err(|error| {
            CeremonyError::Refused(format!("the certificate of the key {} cannot be used: {error}", key.label))
        })?;
    }
    Ok(())
}

fn issuing_key(config: &Config) -> Result<&Key, CeremonyError> {
    config.keys.iter().find(|key| key.purpose == Purpose::Issue).ok_or_else(|| {
        let what =
            format!("the signer {} has no key that issues: name the configuration of the CA signer", config.name);
        CeremonyError::Refused(what)
    })
}

/// The first certificate in a key's file.
fn read_certificate(key: &Key) -> Result<Vec<u8>, CeremonyError> {
    let none = || CeremonyError::Refused(format!("the key {} has no certificate: write `certificate`", key.label));
    let path = key.certificate.as_ref().ok_or_else(none)?;
    let certificate = CertificateDer::from_pem_slice(&files::read(path, MAX_FILE)?).map_err(|_| {
        CeremonyError::Refused(format!("{} holds no CERTIFICATE block: restore it from a backup", path.display()))
    })?;
    Ok(certificate.to_vec())
}

fn read_profile(config: &Config, name: &str) -> Result<Profile, CeremonyError> {
    let directory = config.profiles.as_deref().unwrap_or(Path::new("/nonexistent"));
    let files = profile_files(directory)?;
    match files.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)) {
        Some(path) => parse_profile(path),
        None => {
            let known: Vec<_> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
            let known = known.join(", ");
            Err(CeremonyError::Refused(format!("there is no profile {name:?}: there are {known}")))
        }
    }
}

fn parse_profile(path: &Path) -> Result<Profile, CeremonyError> {
    let text = files::read(path, MAX_FILE)?;
    Profile::from_toml(&path.display().to_string(), &String::from_utf8_lossy(&text))
        .map_err(|error| CeremonyError::Refused(error.to_string()))
}

fn profile_files(directory: &Path) -> Result<Vec<PathBuf>, CeremonyError> {
    let fault = |error: std::io::Error| CeremonyError::Refused(format!("{}: {error}", directory.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A certificate chain or a profile is never that large.
const MAX_FILE: u64 = 1024 * 1024;
