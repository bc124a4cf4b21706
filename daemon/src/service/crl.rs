//! CRLs as relying parties fetch them.

use std::sync::Arc;

use policy::crl::Scope;

use super::administrators::Permitted;
use super::ca::ROOT;
use super::peer::hex;
use super::{Failure, Services};
use crate::revocation::{CrlRecord, Kind, PublishError, list_key};
use crate::store::StoreError;

pub use crate::revocation::{Coding, Contents, Freshness, RootList, Seen, Served};

/// A CRL that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Label of the issuing key.
    pub issuer: String,
    /// `all`, `3-of-16`, with `-delta` behind it.
    pub list: String,
    /// What was recorded of it.
    pub record: CrlRecord,
    /// What the watchdog saw of it.
    pub seen: Option<Seen>,
}

impl Services {
    /// The CRL of an issuer, by the issuer's name in URLs (`root`, the label of its key, or a key
    /// identifier) and the list's (`all`, `3-of-16`, with `-delta` behind it); `None` if there is none.
    pub async fn crl(&self, issuer: &str, list: &str, coding: Coding) -> Result<Option<Served>, Failure> {
        let (scope, kind) = match list.strip_suffix("-delta") {
            Some(scope) => (scope, Kind::Delta),
            None => (list, Kind::Complete),
        };
        if scope.parse::<Scope>().is_err() {
            return Ok(None);
        }
        if self.is_root(issuer) {
            return if list == "all" { self.root_crl().await } else { Ok(None) };
        }
        let (publisher, key) = if issuer == self.issuer_key || issuer == hex(self.issuer.now().key_identifier()) {
            (Arc::clone(&self.revocation.publisher), list_key(&self.issuer_key, scope, kind))
        } else {
            let Some(branch) = self.revocation.branches.called(issuer) else { return Ok(None) };
            (Arc::clone(&branch.publisher), list_key(&branch.office.issuer_key, scope, kind))
        };
        let served = tokio::task::spawn_blocking(move || publisher.served(&key, coding)).await;
        let served = served.map_err(|_| Failure::Internal("the CRL could not be read".to_owned()))?;
        served.map_err(|error| Failure::Internal(error.to_string()))
    }

    /// Every CRL that is published, and what the watchdog sees of it.
    pub fn crls(&self, _permitted: &Permitted) -> Result<Vec<Listed>, StoreError> {
        let desk = &self.revocation;
        let seen = desk.watch.seen();
        let mut listed = Vec::new();
        for list in desk.publisher.lists().iter() {
            for kind in [Kind::Complete, Kind::Delta] {
                let key = list_key(&self.issuer_key, &list.scope.to_string(), kind);
                let name = match kind {
                    Kind::Complete => list.scope.to_string(),
                    Kind::Delta => format!("{}-delta", list.scope),
                };
                if let Some(record) = desk.publisher.record(&key)? {
                    let seen = seen.get(&format!("CRL {name} of {}", self.issuer_key)).cloned();
                    listed.push(Listed { issuer: self.issuer_key.clone(), list: name, record, seen });
                }
            }
        }
        Ok(listed)
    }

    /// The root's CRL, if one is configured, or why it cannot be served.
    pub fn root_list(&self, _permitted: &Permitted) -> Option<Result<RootList, String>> {
        self.revocation.root.as_ref().map(|root| root.current())
    }

    /// What cannot be renewed at the moment, and why; and what the watchdog found wrong.
    pub fn status_faults(&self, _permitted: &Permitted) -> Vec<String> {
        self.revocation.faults()
    }

    /// Signs every complete CRL now, whatever the schedule says. Says which numbers they have.
    pub async fn publish_crls(&self, permitted: &Permitted) -> Result<Vec<(String, u64)>, Failure> {
        let desk = &self.revocation;
        let mut published = Vec::new();
        for list in desk.publisher.lists().iter() {
            let outcome = desk.publisher.publish(list, Kind::Complete).await;
            let record = outcome.map_err(|error| match error {
                PublishError::Ca(error) => error.into(),
                other => Failure::Unavailable(other.to_string()),
            })?;
            published.push((list.scope.to_string(), record.number));
        }
        tracing::info!(who = permitted.actor().who, count = published.len(), "CRLs were published on request");
        // Deltas add to another one now.
        desk.publisher.wake();
        Ok(published)
    }

    fn is_root(&self, name: &str) -> bool {
        let identifier = || self.revocation.root.as_ref().map(|root| hex(root.issuer().key_identifier()));
        name == ROOT || identifier().is_some_and(|identifier| identifier == name)
    }

    async fn root_crl(&self) -> Result<Option<Served>, Failure> {
        let Some(root) = self.revocation.root.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || root.current()).await;
        let list = read.map_err(|_| Failure::Internal("the root's CRL could not be read".to_owned()))?;
        let RootList { der, number, this_update, next_update, .. } = list.map_err(Failure::Internal)?;
        let left = next_update.0.saturating_sub(self.clock.now().0);
        Ok(Some(Served {
            tag: number.to_string(),
            this_update,
            next_update,
            max_age: left.min(ROOT_AGE),
            coding: Coding::Identity,
            contents: Contents::Bytes(der),
        }))
    }
}

/// How long a cache may keep the root's CRL without asking, in seconds: it is replaced by hand.
const ROOT_AGE: u64 = 3600;
