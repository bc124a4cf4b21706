//! The CA signer as the daemon sees it: nothing new is asked of it before the store has caught up
//! with its journal (J3).

use std::sync::Arc;

use hsm::client::{Client, ClientError};
use hsm::wire::{Actor, Challenge, SealStatus, Status, UnsealBox};
use policy::serial::Serial;

use crate::store::{CommitError, Store, StoreError};

/// The CA signer. Cheap to clone.
#[derive(Clone)]
pub struct Ca {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    store: Store,
}

/// Why the CA did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Everything that needs a key answers 503 `strongbox sealed`.
    #[error("strongbox sealed")]
    Sealed,
    /// The signer refused, failed or cannot be reached.
    #[error(transparent)]
    Signer(#[from] ClientError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store and the journal contradict each other; the sentence says how and what to do.
    #[error("{0}")]
    Faulted(String),
}

impl Ca {
    /// A handle over the CA signer's client and the store that follows its journal.
    pub fn new(client: Client, store: Store) -> Self {
        Self { inner: Arc::new(Inner { client, store }) }
    }

    /// The seal state as last seen, without asking: decided before authentication on every request.
    /// A background task and every answer of the signer keep it fresh. `Err` is a sentence that
    /// says why the signer cannot be used.
    pub fn seal(&self) -> Result<SealStatus, String> {
        let _ = (&self.inner.client, &self.inner.store);
        unimplemented!()
    }

    /// Asks the signer how it is.
    pub async fn status(&self) -> Result<Status, CaError> {
        unimplemented!()
    }

    /// Asks for an unseal challenge.
    pub async fn challenge(&self) -> Result<Challenge, CaError> {
        unimplemented!()
    }

    /// Forwards an unseal box.
    pub async fn unseal(&self, boxed: UnsealBox, actor: Actor) -> Result<(), CaError> {
        let _ = (boxed, actor);
        unimplemented!()
    }

    /// Seals: the signer exits and comes back knowing nothing.
    pub async fn seal_now(&self, actor: Actor) -> Result<(), CaError> {
        let _ = actor;
        unimplemented!()
    }

    /// Revokes: journalled, then recorded in the store. Works while sealed.
    pub async fn revoke(&self, serial: Serial, reason: Option<u8>, actor: Actor) -> Result<(), CaError> {
        let _ = (serial, reason, actor);
        unimplemented!()
    }

    /// Removes an administrator: journalled, then recorded in the store.
    pub async fn remove_administrator(&self, fingerprint: &str, actor: Actor) -> Result<(), CaError> {
        let _ = (fingerprint, actor);
        unimplemented!()
    }
}
