//! SIGHUP: profiles, certificates and the log level are read again. All of them or none; what cannot be
//! used is refused with a sentence, and what was read before stays in force. No connection notices.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::BootError;
use super::log::Filter;
use super::material::{Material, MaterialError};
use crate::config::{Config, InForce};
use crate::current::Current;
use crate::service::Services;
use crate::tls::{TlsError, TlsSigner};

/// What a reload works on.
pub(super) struct Reload {
    /// The configuration file.
    pub(super) path: PathBuf,
    /// What it said at the start, and says of the log level now.
    pub(super) config: Config,
    pub(super) filter: Filter,
    pub(super) services: Arc<Services>,
    /// The TLS signer and its key.
    pub(super) signer: Current<TlsSigner>,
    /// What listeners present.
    pub(super) key: Current<CertifiedKey>,
}

impl Reload {
    /// Reads everything again, and then replaces everything. Blocks.
    pub(super) fn run(&mut self) -> Result<(), BootError> {
        let file = Config::read(&self.path)?;
        let config = Config { log: file.log.clone(), ..self.config.clone() };
        if file != config {
            tracing::warn!(file = %self.path.display(), "other settings than `log` have changed: they take effect at the next start");
        }
        let Material { alternate_chains, chain, issuer, profiles, root, root_crl: _ } = Material::load(&config)?;
        let services = &self.services;
        same(&config.ca.root, "the root", services.root == root)?;
        let before = services.issuer.now();
        let is_same = before.key().spki() == issuer.key().spki() && before.key_identifier() == issuer.key_identifier();
        same(&config.ca.issuer, "the issuing key", is_same)?;
        let signer = self.signer.now().another(config.tls.key.clone(), &chain[0])?;
        if !signer.is_key_of(&self.signer.now()) {
            signer.status().map_err(|error| match error {
                TlsError::Key(_) => error,
                other => TlsError::Config(format!("the key of the new server certificate cannot be checked: {other}")),
            })?;
        }

        services.tls_chain.replace(chain.iter().map(|der| der.to_vec()).collect::<Vec<_>>());
        self.key.replace(signer.key(chain));
        self.signer.replace(signer);
        services.alternate_chains.replace(alternate_chains);
        services.issuer.replace(issuer);
        services.profiles.replace(Arc::clone(&profiles));
        services.revocation.reload(&profiles);
        self.filter.replace(&config.log);
        let in_force = InForce { config: config.clone(), file: self.path.clone(), read: services.clock.now() };
        services.config.replace(in_force);
        self.config = config;
        Ok(())
    }
}

/// Another CA is another store and another journal.
fn same(file: &Path, what: &str, is_same: bool) -> Result<(), MaterialError> {
    match is_same {
        true => Ok(()),
        false => Err(MaterialError::File {
            file: file.to_owned(),
            problem: format!("it is another certificate of another key: {what} changes with a restart only"),
        }),
    }
}
