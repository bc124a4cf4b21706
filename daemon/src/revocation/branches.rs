//! CRLs and OCSP answers of the authorities that were made while the appliance runs: each has an office,
//! a publisher and a responder of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::effects::Clock;
use policy::ocsp::Request;

use super::desk::{lists, named, publish_instead};
use super::files::Files;
use super::ocsp::Responder;
use super::office::Office;
use super::publish::Publisher;
use crate::config;
use crate::current::{Current, Profiles};
use crate::issuance::authorities::{self, AuthorityRecord};
use crate::issuance::ca::Ca;
use crate::issuance::hexadecimal;
use crate::store::{Store, StoreError};

/// What is published of one authority.
pub struct Branch {
    /// What both have in common.
    pub office: Arc<Office>,
    /// CRLs.
    pub publisher: Arc<Publisher>,
    /// OCSP.
    pub responder: Arc<Responder>,
}

/// The branches of all authorities that have a certificate.
pub struct Branches {
    pub(super) ca: Ca,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) crl: config::Crl,
    pub(super) directory: PathBuf,
    pub(super) ocsp: config::Ocsp,
    pub(super) profiles: Current<Profiles>,
    pub(super) store: Store,
    pub(super) open: Mutex<Open>,
}

#[derive(Default)]
pub(super) struct Open {
    /// By label of the issuing key.
    branches: BTreeMap<String, Arc<Branch>>,
    /// Whether new ones begin to work at once.
    running: bool,
}

impl Branches {
    /// Opens a branch for every authority that has a certificate, and gives those that are open the
    /// certificate that their authority has now.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let records = authorities::all(&self.store)?;
        let mut open = self.open();
        for record in records {
            let Some(issuer) = record.issuer() else { continue };
            let label = record.authority.number.label();
            match open.branches.get(&label) {
                Some(branch) if branch.office.issuer.now().certificate() == issuer.certificate() => {}
                Some(branch) => branch.office.issuer.replace(issuer),
                None => {
                    let branch = Arc::new(self.branch(&record, issuer));
                    if open.running {
                        branch.start();
                    }
                    open.branches.insert(label, branch);
                }
            }
        }
        Ok(())
    }

    /// Keeps everything fresh, for ever; new ones are taken up as the store learns of them.
    pub(super) async fn run(self: Arc<Self>) {
        let begun = {
            let mut open = self.open();
            open.running = true;
            open.branches.values().cloned().collect::<Vec<_>>()
        };
        begun.iter().for_each(|branch| branch.start());
        loop {
            if let Err(error) = self.refresh() {
                tracing::warn!(%error, "authorities cannot be looked up");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Publishes what the certificates of these profiles name.
    pub(super) fn reload(&self, profiles: Arc<Profiles>) {
        self.profiles.replace(profiles);
        for branch in self.all() {
            publish_instead(&branch.publisher, &branch.office, &self.profiles.now());
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Branch>> {
        self.open().branches.values().cloned().collect()
    }

    /// The one that URLs call so: by the label of its key, or the key identifier in hexadecimal.
    pub fn called(&self, name: &str) -> Option<Arc<Branch>> {
        let open = self.open();
        let by_identifier = || {
            let is_it = |branch: &&Arc<Branch>| hexadecimal(branch.office.issuer.now().key_identifier()) == name;
            open.branches.values().find(is_it)
        };
        open.branches.get(name).or_else(by_identifier).cloned()
    }

    /// The responder of the authority whose certificates a request asks for.
    pub(super) fn asked(&self, request: impl FnOnce() -> Option<Request>) -> Option<Arc<Responder>> {
        let open = self.open();
        if open.branches.is_empty() {
            return None;
        }
        let request = request()?;
        let is_of = |branch: &&Arc<Branch>| {
            let issuer = branch.office.issuer.now();
            request.ids.iter().all(|id| id.is_of(&issuer))
        };
        open.branches.values().find(is_of).map(|branch| Arc::clone(&branch.responder))
    }

    fn branch(&self, record: &AuthorityRecord, issuer: policy::tbs::Issuer) -> Branch {
        let (ca, clock, store) = (self.ca.clone(), Arc::clone(&self.clock), self.store.clone());
        let office = Office::new(ca, clock, Current::new(issuer), record.authority.number.label().into(), store);
        let office = Arc::new(office);
        let named = named(&self.store, &office.issuer_key, self.clock.now());
        let deltas = self.crl.delta_every.is_some();
        let lists = lists(&self.profiles.now(), &office.issuer.now(), named, deltas);
        let files = Files::new(self.directory.clone());
        Branch {
            publisher: Arc::new(Publisher::new(Arc::clone(&office), self.crl.clone(), files, lists)),
            responder: Responder::new(Arc::clone(&office), self.ocsp.clone()),
            office,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Each change of it is complete.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Branch {
    /// Something changed: what is due is looked at now.
    pub(super) fn wake(&self) {
        self.publisher.wake();
        self.responder.wake();
    }

    fn start(&self) {
        let publisher = Arc::clone(&self.publisher);
        tokio::spawn(async move { publisher.run().await });
        tokio::spawn(Arc::clone(&self.responder).run());
    }
}

/// Between two looks for new authorities.
const LOOK: Duration = Duration::from_secs(1);
