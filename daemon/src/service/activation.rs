//! Whether relying parties find what certificates will name; and the CA going active once they do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm::wire::{Act, MAX_FAILURES, MAX_TEXT};
use policy::name::Name;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::administrators::Permitted;
use super::{Failure, Services};
use crate::issuance::ca::CaError;
use crate::revocation::{Last, Named, Url};
use crate::store::StoreError;
use crate::store::tables::ACTIVATIONS;
use crate::validation::Lookup;

pub use crate::store::tables::Activation;

/// A URL that certificates name, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it leads to: `CRL all`, `OCSP`, `CA certificate`.
    pub what: String,
    /// The URL, as it stands in certificates.
    pub url: String,
    /// What is wrong with it, if something is.
    pub fault: Option<String>,
    /// How long what was found there is good, if that has an end.
    pub last: Option<Last>,
}

/// Why the CA did not go active.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The journal or the store.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// What its certificates name is not right.
    #[error(
        "{} of {} URLs that certificates name are not right, {} among them: correct them, or force it; `signetctl ca check` shows all",
        .failures.len(), .of, .failures.first().map(String::as_str).unwrap_or_default()
    )]
    Failing {
        /// What failed, a sentence each.
        failures: Vec<String>,
        /// How many URLs there are.
        of: usize,
    },
}

/// What becomes of an activation when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on, and the journal says what failed.
    Force,
    /// It is refused.
    Refuse,
}

impl Services {
    /// Looks at every URL that certificates name, all at the same time, as a relying party would.
    pub async fn check_urls(self: &Arc<Self>) -> Vec<Checked> {
        self.check_some_urls(|_| true).await
    }

    async fn check_some_urls(self: &Arc<Self>, wanted: impl Fn(Named) -> bool) -> Vec<Checked> {
        let lookup = Arc::new(Lookup::new(&self.validation));
        let turns = Arc::new(Semaphore::new(TOGETHER));
        let mut looking = JoinSet::new();
        let profiles = self.profiles.now();
        let urls = self.revocation.named_urls(profiles.values().map(|profile| &**profile));
        for (named, url) in urls.into_iter().filter(|(named, _)| wanted(*named)) {
            let (services, lookup, turns) = (Arc::clone(self), Arc::clone(&lookup), Arc::clone(&turns));
            looking.spawn(async move {
                let _turn = turns.acquire().await;
                let outcome = tokio::time::timeout(PATIENCE, services.check_url(&lookup, named, &url)).await;
                let outcome = outcome.unwrap_or_else(|_| Err("it was not answered in time".to_owned()));
                let (last, fault) = match outcome {
                    Ok(last) => (last, None),
                    Err(why) => (None, Some(why)),
                };
                (named, Checked { what: named.label(), url, fault, last })
            });
        }
        let mut checked: Vec<(Named, Checked)> = Vec::new();
        while let Some(one) = looking.join_next().await {
            checked.extend(one.ok());
        }
        checked.sort_by(|one, other| (one.0, &one.1.url).cmp(&(other.0, &other.1.url)));
        checked.into_iter().map(|(_, checked)| checked).collect()
    }

    async fn check_url(&self, lookup: &Lookup, named: Named, text: &str) -> Result<Option<Last>, String> {
        let url = Url::parse(text)?;
        let addresses: Vec<IpAddr> = match url.host() {
            Name::Ip(address) => vec![*address],
            Name::Dns(name) => lookup.addresses(name).await.map_err(|failure| failure.detail)?,
        };
        self.revocation.look_at_url(named, text, (&url, &addresses), &self.root).await
    }

    /// That the issuing CA is active, if it is.
    pub fn activation(&self) -> Result<Option<Activation>, StoreError> {
        Ok(self.store.get(&ACTIVATIONS, &self.issuer_key)?.map(|row| row.value))
    }

    /// Lets the issuing CA go active: it is journalled with what failed, and from then on certificates are
    /// issued. Done again with the same outcome, it changes nothing.
    pub async fn activate(
        self: &Arc<Self>,
        permitted: &Permitted,
        on_failure: OnFailure,
    ) -> Result<Activation, ActivateError> {
        let checked = self.check_urls().await;
        let of = checked.len();
        let sentence = |one: Checked| Some(cut(&format!("{} at {}: {}", one.what, one.url, one.fault?)));
        let mut failures: Vec<String> = checked.into_iter().filter_map(sentence).collect();
        if !failures.is_empty() && on_failure == OnFailure::Refuse {
            return Err(ActivateError::Failing { failures, of });
        }
        if failures.len() > MAX_FAILURES {
            let more = failures.len() - (MAX_FAILURES - 1);
            failures.truncate(MAX_FAILURES - 1);
            failures.push(format!("and {more} more"));
        }
        let (issuer, forced) = (self.issuer_key.clone(), !failures.is_empty());
        let act = Act::ActivateCa { issuer, forced, failures: failures.clone() };
        let is_done = || {
            let activation = self.activation().map_err(CaError::from)?;
            Ok::<_, CaError>(activation.is_some_and(|activation| activation.failures == failures))
        };
        self.ca.act_once(act, permitted.actor(), is_done).await?;
        let activation = self.activation().map_err(CaError::from)?.ok_or(CaError::Unknown("activation"))?;
        tracing::info!(who = activation.actor, forced, "the issuing CA is active");
        Ok(activation)
    }

    /// Looks at the same URLs for ever, once the CA is active: boot calls it once. What it finds stands
    /// beside what the watchdog sees.
    pub async fn watch_urls(self: Arc<Self>) {
        let active = || self.ca.is_active(&self.issuer_key).unwrap_or_default();
        let watch = &self.revocation.watch;
        loop {
            // Soon at the start and once it is active, and soon again while something is wrong.
            tokio::time::sleep(PAUSE / 60).await;
            if !active() {
                continue;
            }
            let checked = self.check_some_urls(|named| self.revocation.is_published(named)).await;
            let checked = checked.into_iter().map(|one| (format!("{} at {}", one.what, one.url), one));
            let checked: BTreeMap<String, Checked> = checked.collect();
            // Those that no certificate names any more are nobody's business.
            watch.retain(|what| !what.contains(" at http://") || checked.contains_key(what));
            let now = self.clock.now();
            for (what, one) in &checked {
                watch.note(what, now, one.fault.clone().map_or(Ok(one.last), Err));
            }
            let right = checked.values().all(|one| one.fault.is_none());
            tokio::time::sleep(if right { PAUSE } else { PAUSE / 10 }).await;
        }
    }
}

impl From<ActivateError> for Failure {
    fn from(error: ActivateError) -> Self {
        match error {
            ActivateError::Ca(error) => error.into(),
            ActivateError::Failing { .. } => Self::Conflict(error.to_string()),
        }
    }
}

/// A sentence as long as the journal takes one.
fn cut(text: &str) -> String {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

/// URLs looked at together.
const TOGETHER: usize = 16;

/// Longest look at one URL.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at all of them; less while one is not right.
const PAUSE: Duration = Duration::from_secs(300);
