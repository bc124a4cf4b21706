//! The use cases of the ACME surface (RFC 8555): accounts, orders, authorizations, challenges,
//! certificates. It knows neither HTTP nor JWS.

pub mod accounts;
pub mod administration;
pub mod authorizations;
mod chains;
mod completion;
mod contacts;
pub mod counters;
pub mod eab;
pub mod eab_keys;
pub mod error;
pub mod finalize;
pub mod identifiers;
pub mod key;
pub mod key_change;
mod nodes;
pub mod nonce;
pub mod orders;
pub mod oversight;
pub mod records;
mod removal;
pub mod renewal;
pub mod revoke;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod upki;
mod validations;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use policy::effects::EntropyError;
use policy::tbs::Certificate;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use self::error::AcmeError;
use self::nonce::{Memory, Nonces, Part, Stored};
use self::tables::NONCES;
use self::validations::Validations;
use super::{Random, Services};
use crate::config::NonceKeeper;
use crate::store::Change;
use crate::validation::Validator;

pub use self::tables::{AUTHORIZATIONS, AccountRecord, AccountStatus, Agreement, Binding, Ended};

/// The ACME service: records in the store, and what is under way in memory.
pub struct Acme {
    services: Arc<Services>,
    nonces: Box<dyn Nonces>,
    /// SubjectPublicKeyInfo of the issuing CA and of the root: nobody else's key.
    ca_keys: Vec<Vec<u8>>,
    /// Orders that are being finalized; the lock is held until it is known what came of it.
    finalizing: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    validator: Arc<Validator>,
    validations: Validations,
    /// Validations that may use the network at a time.
    network: Arc<Semaphore>,
}

/// Attempts of validations that run at a time; the others wait for their turn.
const PARALLEL_ATTEMPTS: usize = 64;

impl Acme {
    /// Takes over nonces of an orderly stop, and validations that a stop interrupted.
    pub async fn start(services: Arc<Services>) -> Result<Arc<Self>, AcmeError> {
        let certificate = |der: &[u8]| {
            Certificate::from_der(der)
                .map_err(|error| AcmeError::Internal(format!("a CA certificate cannot be read: {error}")))
        };
        let root = certificate(&services.root)?;
        let mut ca_keys = vec![services.issuer.now().key().spki().to_vec()];
        ca_keys.extend(root.key().ok().map(|key| key.spki().to_vec()));
        let acme = Arc::new(Self {
            nonces: match services.acme.accounts.nonces {
                NonceKeeper::Memory => Box::new(take_nonces(&services).await?),
                NonceKeeper::Store => Box::new(Stored::start(Arc::clone(&services)).await?),
            },
            ca_keys,
            finalizing: Mutex::new(HashMap::new()),
            validator: Arc::new(Validator::new(&services.validation).counting(services.metrics.validations.clone())),
            validations: Validations::default(),
            network: Arc::new(Semaphore::new(PARALLEL_ATTEMPTS)),
            services,
        });
        acme.resume_validations()?;
        acme.resume_orders()?;
        Ok(acme)
    }

    /// Writes down the nonces, so that they stay good over an orderly restart. The last call
    /// before the store closes, when no request is served any more.
    pub async fn stop(&self) -> Result<(), AcmeError> {
        let mut change = Change::new();
        for (number, part) in (0u8..).zip(self.nonces.export()) {
            change.put(&NONCES, [number], &part);
        }
        Ok(self.services.store.commit(change).await?)
    }

    /// A fresh nonce.
    pub fn make_nonce(&self) -> Result<String, AcmeError> {
        Ok(self.nonces.make()?)
    }

    /// Takes a nonce back, once.
    pub async fn take_nonce(&self, nonce: &str) -> Result<(), AcmeError> {
        let taken = self.nonces.take(nonce).await;
        if taken.is_err() {
            self.services.metrics.acme.nonce_refused();
        }
        Ok(taken?)
    }

    /// What validates names over the network, and turns to use it: every surface shares them.
    pub fn validator(&self) -> (Arc<Validator>, Arc<Semaphore>) {
        (self.validator.clone(), self.network.clone())
    }

    /// What the daemon serves and is configured with.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The URL of an account, as it is handed out: what CAA records and dns-account-01 name.
    pub(super) fn account_url(&self, id: &str) -> String {
        format!("{}/acme/account/{id}", self.services.public_url)
    }

    /// Refuses everything while nothing could be signed: decided before authentication.
    pub fn available(&self) -> Result<(), AcmeError> {
        self.services.pipeline().obstacle().map_or(Ok(()), |obstacle| Err(obstacle.into()))
    }
}

/// The nonces of the last stop, if it was orderly, or none. Their rows are gone before the first
/// is taken: after a crash no used nonce is good again.
async fn take_nonces(services: &Services) -> Result<Memory, AcmeError> {
    use std::ops::Bound::Unbounded;
    let rows = services.store.scan(&NONCES, (Unbounded, Unbounded), usize::from(u8::MAX), false)?;
    let mut change = Change::new();
    for (key, _) in &rows {
        change.delete(&NONCES, key);
    }
    if !rows.is_empty() {
        services.store.commit(change).await?;
    }
    let parts: Vec<Part> = rows.into_iter().map(|(_, part)| part.value).collect();
    match Memory::import(&parts) {
        Some(nonces) => Ok(nonces),
        None => Ok(Memory::new(services.random.bytes()?)),
    }
}

/// Names an account, order or authorization: 128 random bits, so that no URL can be guessed,
/// in hexadecimal, so that no id looks like an option to a shell.
pub struct Id([u8; 16]);

impl Id {
    /// Characters of its text.
    pub(super) const LENGTH: usize = 32;

    /// A fresh id.
    pub fn random(random: &Random) -> Result<Self, EntropyError> {
        random.bytes().map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
