//! CRLs as relying parties fetch them.

use std::sync::Arc;

use policy::crl::Scope;

use super::ca::ROOT;
use super::peer::hex;
use super::{Failure, Services};
use crate::revocation::{Kind, RootList, list_key};

pub use crate::revocation::{Coding, Contents, Served};

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
        if issuer != self.issuer_key && issuer != hex(self.issuer.key_identifier()) {
            return Ok(None);
        }
        let (publisher, key) = (Arc::clone(&self.revocation.publisher), list_key(&self.issuer_key, scope, kind));
        let served = tokio::task::spawn_blocking(move || publisher.served(&key, coding)).await;
        let served = served.map_err(|_| Failure::Internal("the CRL could not be read".to_owned()))?;
        served.map_err(|error| Failure::Internal(error.to_string()))
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
