//! What the Notary dialect has of its own: accounts with passwords and sessions, and requests that stay. Its
//! certificates are made and revoked like all others.

pub mod accounts;
pub mod chain;
mod metrics;
pub mod password;
pub mod requests;
pub mod servers;
pub mod sessions;

use policy::effects::{EntropyError, UnixTime};
use policy::key::KeyKind;
use tokio::sync::{Mutex, Semaphore};

use super::Random;
use crate::config;
use sessions::Sessions;

/// What the dialect has of its own, beside the store.
pub struct Notary {
    /// Name of the profile that its certificates are of.
    pub profile: String,
    /// Name of the profile that allows the authorities which it makes, and what their keys are, if it makes any.
    pub authorities: Option<(String, KeyKind)>,
    sessions: Sessions,
    /// One permit a password that is being hashed.
    hashing: Semaphore,
    /// Held from the question whether accounts may change so to the answer that they have.
    changing: Mutex<()>,
    /// What was counted last, and when.
    counts: Mutex<Option<(UnixTime, requests::Counts)>>,
}

impl Notary {
    /// Nobody is signed in.
    pub fn new(config: config::Notary, random: &Random) -> Result<Self, EntropyError> {
        Ok(Self {
            profile: config.profile,
            authorities: config.authorities,
            sessions: Sessions::new(random)?,
            hashing: Semaphore::new(password::AT_A_TIME),
            changing: Mutex::new(()),
            counts: Mutex::new(None),
        })
    }
}
