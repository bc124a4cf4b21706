//! The administrators themselves: listed, given roles, removed.

use std::ops::Bound;

use policy::effects::UnixTime;

pub use super::peer::{Peer, PeerCertificate};
pub use super::rights::{Caller, Denied, Permission, Permitted, Role, Scope};

use super::Services;
use crate::issuance::ca::CaError;
use crate::store::StoreError;
use crate::store::tables::ADMINISTRATORS;

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// When he was enrolled.
    pub enrolled: UnixTime,
    /// SHA-256 of his certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject common name of his certificate.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

/// Why an administrator was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The signer or the store did not do it.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Nobody would be left.
    #[error("this is the last administrator: enrol another one first, with `signet-signer admin add`")]
    Last,
    /// There is no such administrator, or no longer.
    #[error("no administrator has this fingerprint")]
    Unknown,
}

impl Services {
    /// Every administrator, removed ones included, by fingerprint.
    pub fn administrators(&self, _permitted: &Permitted) -> Result<Vec<Administrator>, StoreError> {
        self.all_administrators()
    }

    /// Removes an administrator; from the next request on he is refused.
    pub async fn remove_administrator(&self, permitted: &Permitted, fingerprint: &str) -> Result<(), RemoveError> {
        // Asked again when it is his turn: two who remove each other at once must not both succeed.
        let allowed = || {
            let all = self.all_administrators().map_err(CaError::from)?;
            let active: Vec<_> = all.iter().filter(|one| one.removed.is_none()).collect();
            match active.iter().any(|one| one.fingerprint == fingerprint) {
                true if active.len() == 1 => Err(RemoveError::Last),
                true => Ok(()),
                false => Err(RemoveError::Unknown),
            }
        };
        allowed()?;
        self.ca.remove_administrator(fingerprint, permitted.actor(), allowed).await?;
        tracing::info!(who = permitted.actor().who, fingerprint, "administrator removed");
        Ok(())
    }

    fn all_administrators(&self) -> Result<Vec<Administrator>, StoreError> {
        let rows = self.store.scan(&ADMINISTRATORS, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
        let read = rows.into_iter().map(|(key, record)| Administrator {
            enrolled: record.value.enrolled,
            fingerprint: String::from_utf8_lossy(&key).into_owned(),
            name: record.value.name,
            role: record.value.role,
            removed: record.value.removed,
        });
        Ok(read.collect())
    }
}

/// Administrators in one list: far more than a CA has, removed ones included.
const MOST: usize = 10_000;
