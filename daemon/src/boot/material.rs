//! What the configuration points at: certificates and profiles, read and checked together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::authority::AuthorityProfile;
use policy::profile::{Profile, ProfileError};
use policy::tbs::{Certificate, Issuer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{Config, Surface};
use crate::current::Profiles;
use crate::revocation::RootCrl;

/// Certificates and profiles.
pub(super) struct Material {
    /// Other chains than the default one, PEM.
    pub(super) alternate_chains: Vec<String>,
    /// The server certificate and what leads to the root; the issuing certificate is added when it is
    /// all that the file lacks.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The issuing certificate.
    pub(super) issuer: Arc<Issuer>,
    /// Profiles by name.
    pub(super) profiles: Arc<Profiles>,
    /// The root certificate, DER.
    pub(super) root: Vec<u8>,
    /// The root's CRL, if one is configured.
    pub(super) root_crl: Option<Arc<RootCrl>>,
}

/// Something that the configuration points at cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file: which, and what is wrong with it.
    #[error("{}: {problem}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// One sentence.
        problem: String,
    },
    /// A profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl Material {
    /// Reads everything and checks that it belongs together.
    pub(super) fn load(config: &Config) -> Result<Self, MaterialError> {
        let mut chain = certificates(&config.tls.chain)?;
        for der in &chain {
            Certificate::from_der(der).map_err(|error| wrong(&config.tls.chain, error.to_string()))?;
        }
        let (issuer_file, root_file) = (&config.ca.issuer, &config.ca.root);
        let root = certificates(root_file)?.swap_remove(0).to_vec();
        let root_issuer = Issuer::from_der(&root).map_err(|error| wrong(root_file, error.to_string()))?;
        let issuer = certificates(issuer_file)?.swap_remove(0).to_vec();
        Certificate::from_der(&issuer)
            .map_err(|error| wrong(issuer_file, error.to_string()))?
            .verify(root_issuer.key())
            .map_err(|_| {
                wrong(issuer_file, format!("it was not signed by the root in {}: name the pair", root_file.display()))
            })?;
        // A server certificate of our own, alone in its file: what leads to the root is known.
        let by_us = chain.len() == 1
            && Certificate::from_der(&chain[0])
                .is_ok_and(|leaf| Issuer::from_der(&issuer).is_ok_and(|issuer| leaf.verify(issuer.key()).is_ok()));
        if by_us {
            chain.push(CertificateDer::from(issuer.clone()));
        }
        let issuer = Issuer::from_der(&issuer).map_err(|error| wrong(issuer_file, error.to_string()))?;
        let profiles = profiles(&config.ca.profiles)?;
        if let Some(missing) = config.acme.profiles.iter().find(|name| !profiles.contains_key(*name)) {
            let problem = format!("[acme] offers the profile `{missing}`, and there is no file {missing}.toml here");
            return Err(wrong(&config.ca.profiles, problem));
        }
        let waits = |name: &&String| profiles.get(*name).is_some_and(|profile| profile.needs_approval());
        if let Some(name) = config.acme.profiles.iter().find(waits) {
            let problem = format!(
                "[acme] offers the profile `{name}`, whose certificates somebody must approve, and no ACME client \
                 waits for that: remove it from `[acme] profiles`, or its section [approval]"
            );
            return Err(wrong(&config.ca.profiles, problem));
        }
        let speaks_upki = config.listeners.iter().any(|listener| listener.surfaces.contains(&Surface::Upki));
        let missing = config.upki.profiles.iter().find(|(_, ours)| !profiles.contains_key(*ours));
        if let Some((theirs, ours)) = missing.filter(|_| speaks_upki) {
            let problem = format!("[upki.profiles] has `{theirs} = \"{ours}\"`, and there is no file {ours}.toml here");
            return Err(wrong(&config.ca.profiles, problem));
        }
        let root_crl = config.ca.root_crl.clone().map(|path| Arc::new(RootCrl::new(path, root_issuer)));
        let alternate_chains = config.ca.alternate_chains.iter().map(|file| alternate_chain(file, &issuer));
        let alternate_chains = alternate_chains.collect::<Result<_, _>>()?;
        Ok(Self { alternate_chains, chain, issuer: Arc::new(issuer), profiles: Arc::new(profiles), root, root_crl })
    }
}

/// A chain that begins with a certificate of the issuing key, each certificate signed by the next.
fn alternate_chain(file: &Path, issuer: &Issuer) -> Result<String, MaterialError> {
    let mut chain = Vec::new();
    for der in certificates(file)? {
        let next = Certificate::from_der(&der).map_err(|error| wrong(file, error.to_string()))?;
        let key = next.key().map_err(|error| wrong(file, error.to_string()))?;
        match chain.last() {
            None if key.spki() != issuer.key().spki() => {
                let problem = "its first certificate is not one of the issuing key: begin with the cross-signed one";
                return Err(wrong(file, problem.to_owned()));
            }
            Some(before) if Certificate::verify(before, &key).is_err() => {
                let problem = format!("{} was not signed by the certificate after it", before.subject());
                return Err(wrong(file, problem));
            }
            _ => chain.push(next),
        }
    }
    Ok(chain.iter().map(Certificate::to_pem).collect())
}

/// The certificates of a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let pem = std::fs::read(file).map_err(|error| wrong(file, format!("it cannot be read: {error}")))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(wrong(file, "it holds no certificate in PEM form".to_owned())),
        Err(error) => Err(wrong(file, format!("it is not PEM: {error}"))),
    }
}

/// Every `NAME.toml` of the directory; at least one.
fn profiles(directory: &Path) -> Result<Profiles, MaterialError> {
    let unreadable = |error: std::io::Error| wrong(directory, format!("it cannot be read: {error}"));
    let mut profiles = Profiles::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|error| wrong(&path, format!("it cannot be read: {error}")))?;
        let file = path.display().to_string();
        // What it allows of authorities is for the signer to judge.
        if let Some(profile) = AuthorityProfile::from_toml(&file, &text) {
            profile?;
            continue;
        }
        let profile = Profile::from_toml(&file, &text)?;
        profiles.insert(profile.name().to_owned(), Arc::new(profile));
    }
    match profiles.is_empty() {
        true => Err(wrong(directory, "it holds no profile: put a NAME.toml there".to_owned())),
        false => Ok(profiles),
    }
}

fn wrong(file: &Path, problem: String) -> MaterialError {
    MaterialError::File { file: file.to_owned(), problem }
}
