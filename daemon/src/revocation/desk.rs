//! Everything that relying parties are told of certificates, in one place.

use std::path::PathBuf;
use std::sync::Arc;

use policy::effects::Clock;
use policy::tbs::Issuer;

use super::files::Files;
use super::office::Office;
use super::publish::{List, Publisher};
use super::root::RootCrl;
use crate::config;
use crate::issuance::ca::Ca;
use crate::store::Store;

/// The CRLs and the OCSP answers of the issuing CA, and the root's CRL.
pub struct Desk {
    /// What both have in common.
    pub office: Arc<Office>,
    /// CRLs.
    pub publisher: Arc<Publisher>,
    /// The root's CRL, if one is configured.
    pub root: Option<Arc<RootCrl>>,
}

/// What a desk is made of.
pub struct Parts {
    /// The CA signer.
    pub ca: Ca,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// `[crl]`
    pub crl: config::Crl,
    /// The directory for CRLs.
    pub directory: PathBuf,
    /// The issuing certificate.
    pub issuer: Arc<Issuer>,
    /// Label of the issuing key.
    pub issuer_key: String,
    /// The lists to publish.
    pub lists: Vec<List>,
    /// The root's CRL, if one is configured.
    pub root: Option<Arc<RootCrl>>,
    /// The records.
    pub store: Store,
}

impl Desk {
    /// Puts the parts together; nothing is signed before [`Desk::run`].
    pub fn new(parts: Parts) -> Self {
        let Parts { ca, clock, crl, directory, issuer, issuer_key, lists, root, store } = parts;
        let office = Arc::new(Office::new(ca, clock, issuer, issuer_key.into(), store));
        let publisher = Arc::new(Publisher::new(Arc::clone(&office), crl, Files::new(directory), lists));
        Self { office, publisher, root }
    }

    /// One with the configuration that is shipped, for tests.
    #[cfg(test)]
    pub(crate) fn shipped(
        ca: &Ca,
        clock: Arc<dyn Clock>,
        issuer: &Arc<Issuer>,
        issuer_key: &str,
        store: &Store,
        directory: &std::path::Path,
    ) -> Self {
        let text = include_str!("../../../packaging/signetd.toml");
        let config = config::Config::from_toml("signetd.toml", text).unwrap();
        Self::new(Parts {
            ca: ca.clone(),
            clock,
            crl: config.crl,
            directory: directory.join("crl"),
            issuer: Arc::clone(issuer),
            issuer_key: issuer_key.to_owned(),
            lists: vec![List { scope: policy::crl::Scope::All, urls: Vec::new(), delta_url: None }],
            root: None,
            store: store.clone(),
        })
    }

    /// Keeps everything fresh, for ever: boot calls it once.
    pub fn start(&self) {
        let publisher = Arc::clone(&self.publisher);
        tokio::spawn(async move { publisher.run().await });
    }
}
