//! What signing CRLs and signing OCSP answers have in common: the issuer, how the token is, and what
//! went wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::effects::{Clock, UnixTime};
use policy::tbs::Issuer;

use super::schedule::Outages;
use super::tables::TOKEN_OUTAGES;
use crate::current::Current;
use crate::issuance::ca::{Ca, CaError, ClientError};
use crate::issuance::status::Means;
use crate::store::{Change, Store};
use hsm::wire::Refusal;

/// Shared by the publisher of CRLs and the OCSP responder of one issuer.
pub struct Office {
    /// The CA signer.
    pub ca: Ca,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The issuing certificate.
    pub issuer: Current<Issuer>,
    /// Label of the issuing key.
    pub issuer_key: Arc<str>,
    /// The records.
    pub store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outages: Outages,
    means: Option<Means>,
    /// What cannot be done, and why, by what it is.
    troubles: BTreeMap<String, String>,
}

impl Office {
    /// Takes up what is known of the token from before.
    pub fn new(ca: Ca, clock: Arc<dyn Clock>, issuer: Current<Issuer>, issuer_key: Arc<str>, store: Store) -> Self {
        let known = store.get(&TOKEN_OUTAGES, issuer_key.as_bytes()).ok().flatten().map_or(0, |row| row.value);
        let state = Mutex::new(State { outages: Outages::known(known), ..State::default() });
        Self { ca, clock, issuer, issuer_key, store, state }
    }

    /// The longest time in seconds that the token was away, the present one included.
    pub fn longest_outage(&self) -> u64 {
        self.state().outages.longest(self.clock.now())
    }

    /// Since when nothing can be signed, if that is so.
    pub fn away_since(&self) -> Option<UnixTime> {
        self.state().outages.since()
    }

    /// Something was signed: an outage, if there was one, is over, and is remembered.
    pub(super) async fn signed(&self) {
        let now = self.clock.now();
        let (ended, longest) = {
            let mut state = self.state();
            (state.outages.signed(now), state.outages.longest(now))
        };
        let Some(length) = ended else { return };
        tracing::info!(issuer = %self.issuer_key, seconds = length, "the token signs again");
        if length == longest {
            let mut change = Change::new();
            change.put(&TOKEN_OUTAGES, self.issuer_key.as_bytes(), &longest);
            if let Err(error) = self.store.commit(change).await {
                tracing::warn!(%error, "the length of the outage could not be kept");
            }
        }
    }

    /// Something could not be signed; it counts as an outage if the token or its signer is to blame.
    pub(super) fn failed(&self, error: &CaError) {
        if let CaError::Signer(ClientError::Refused(Refusal::Forbidden(_) | Refusal::Policy(_))) = error {
            // It may have other keys and bounds than it had: it is asked again.
            self.state().means = None;
        }
        let away = match error {
            CaError::Sealed => true,
            CaError::Signer(ClientError::Refused(refusal)) => {
                matches!(refusal, Refusal::Busy | Refusal::Journal(_) | Refusal::Sealed | Refusal::Token(_))
            }
            CaError::Signer(_) => true,
            CaError::Store(_) | CaError::Commit(_) | CaError::Faulted(_) | CaError::Unknown(_) => false,
        };
        if away {
            let now = self.clock.now();
            self.state().outages.failed(now);
        }
    }

    /// Says once that `what` does not work, and `why`; the health has it until it works again.
    pub(super) fn trouble(&self, what: &str, why: &str) {
        let before = self.state().troubles.insert(what.to_owned(), why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::warn!(event = "renewal_failed", what, why, "what relying parties are served cannot be renewed");
        }
    }

    /// `what` works.
    pub(super) fn no_trouble(&self, what: &str) {
        if self.state().troubles.remove(what).is_some() {
            tracing::info!(what, "what relying parties are served can be renewed again");
        }
    }

    /// What does not work, and why.
    pub fn troubles(&self) -> Vec<(String, String)> {
        self.state().troubles.iter().map(|(what, why)| (what.clone(), why.clone())).collect()
    }

    /// What the signer said of itself last; asks if it has not been asked yet.
    pub(super) async fn means(&self) -> Result<Means, CaError> {
        let known = self.state().means.clone();
        match known {
            Some(means) => Ok(means),
            None => self.ask_means().await,
        }
    }

    /// Asks the signer for its keys and bounds.
    pub(super) async fn ask_means(&self) -> Result<Means, CaError> {
        let means = self.ca.means().await?;
        self.state().means = Some(means.clone());
        Ok(means)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
