//! Live and ready, kept apart: live means that restarting would not help; ready means that a
//! certificate can be issued now.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::Serialize;

pub use hsm::wire::{KeyStatus, SealStatus, Status};

use super::Services;
use crate::store::tables::JOURNALS;

/// How each signer was when it was last asked, by its name. Boot keeps it fresh.
#[derive(Default)]
pub struct Vitals(RwLock<BTreeMap<&'static str, Vital>>);

/// What a signer said, or a sentence that says why it said nothing.
pub type Vital = Result<Status, String>;

impl Vitals {
    /// Notes what came of asking.
    pub fn note(&self, signer: &'static str, vital: Vital) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(signer, vital);
    }

    /// What was noted last.
    pub fn all(&self) -> BTreeMap<&'static str, Vital> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The process works.
    pub live: bool,
    /// Certificates can be issued.
    pub ready: bool,
    /// `sealed`, `unsealed`, `faulted` or `unreachable`.
    pub seal: &'static str,
    /// Why it is not ready: a sentence each, without anything that only administrators may know.
    pub reasons: Vec<String>,
}

impl Services {
    /// How the daemon is. Asks no signer, so that it answers at once whatever else hangs.
    pub fn health(&self) -> Health {
        let mut reasons = Vec::new();
        let usable = self.key_usable();
        if let Err(why) = usable {
            reasons.push(why.to_string());
        }
        if self.store.fault().is_some() || self.store.get(&JOURNALS, b"").is_err() {
            reasons.push("the store failed: its administrators see how in the log".to_owned());
        }
        for (signer, vital) in self.vitals.all() {
            match vital {
                Ok(status) if status.journal_fault.is_some() => {
                    reasons.push(format!("the journal of signer `{signer}` cannot be written, so nothing is signed"));
                }
                Err(_) if signer != CA => reasons.push(format!("the signer `{signer}` cannot be reached")),
                Ok(_) | Err(_) => {}
            }
        }
        Health {
            live: true,
            ready: reasons.is_empty(),
            seal: usable.map_or_else(|why| why.word(), |()| "unsealed"),
            reasons,
        }
    }
}

/// The name under which the CA's signer is noted.
pub const CA: &str = "ca";

/// The name under which the TLS signer is noted.
pub const TLS: &str = "tls";
