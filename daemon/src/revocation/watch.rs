//! The watchdog: fetches what is served as a relying party would, through the listener, verifies it, and
//! compares it with the store. What is served counts, not what was meant to be.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::crl::{self, Facts};
use policy::effects::UnixTime;
use policy::ocsp::{BasicResponse, CertId, HashAlgorithm};
use policy::serial::Serial;

use super::desk::Desk;
use super::fetch::Target;
use super::ocsp::request_path;
use super::publish::{self, List};
use super::schedule::{Freshness, Last};
use super::tables::{Kind, list_key};
use crate::config::Address;
use crate::store::status::{IMPORTED, REVOKED, after_prefix, list_prefix};
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_EXPIRY};

/// What the watchdog saw of one artefact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it looked.
    pub at: UnixTime,
    /// What was wrong with it, if something was.
    pub fault: Option<String>,
    /// How long it is good, if it could be read.
    pub last: Option<Last>,
    /// Its freshness when it was looked at.
    pub freshness: Option<Freshness>,
}

/// What an OCSP answer says.
pub(super) struct Said {
    pub(super) last: Last,
    pub(super) revoked: bool,
}

/// What the watchdog saw last, by artefact.
#[derive(Default)]
pub struct Watch {
    seen: Mutex<BTreeMap<String, Seen>>,
    /// Nothing is looked at: there is no listener that relying parties could use.
    blind: AtomicBool,
}

impl Watch {
    /// Everything that was seen.
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        // Each change of it is complete.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing is looked at, if that is so.
    pub fn blind(&self) -> Option<&'static str> {
        self.blind.load(Ordering::Relaxed).then_some(BLIND)
    }

    pub(super) fn set_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
        tracing::warn!("{BLIND}");
    }

    /// What is not in `kept` is not looked at any more.
    pub fn retain(&self, kept: impl Fn(&str) -> bool) {
        self.lock().retain(|what, _| kept(what));
    }

    /// Notes what was seen, and says it once when it changes.
    pub fn note(&self, what: &str, now: UnixTime, outcome: Result<Option<Last>, String>) {
        let (last, fault) = match outcome {
            Ok(last) => (last, None),
            Err(why) => (None, Some(why)),
        };
        let freshness = last.map(|last| Freshness::of(last, now));
        let seen = Seen { at: now, fault, last, freshness };
        let before = self.lock().insert(what.to_owned(), seen.clone());
        let left = last.map_or(0, |last| last.next_update.0.saturating_sub(now.0));
        if before.as_ref().is_some_and(|before| before.fault == seen.fault && before.freshness == seen.freshness) {
            return;
        }
        match (&seen.fault, freshness) {
            (Some(why), _) => {
                tracing::error!(event = "artefact_wrong", what, why, "what relying parties fetch is not right")
            }
            (None, Some(Freshness::Expired)) => {
                tracing::error!(
                    event = "artefact_wrong",
                    what,
                    "what relying parties fetch has run out: nobody can rely on it"
                );
            }
            (None, Some(Freshness::Critical)) => {
                tracing::error!(
                    event = "artefact_wrong",
                    what,
                    seconds_to_expiry = left,
                    "less than a tenth of its lifetime is left"
                );
            }
            (None, Some(Freshness::Late)) => {
                tracing::warn!(
                    event = "artefact_wrong",
                    what,
                    seconds_to_expiry = left,
                    "less than a quarter of its lifetime is left"
                );
            }
            (None, Some(Freshness::Early)) => {
                tracing::error!(
                    event = "artefact_wrong",
                    what,
                    "its thisUpdate has not come: this host's clock is behind"
                );
            }
            (None, Some(Freshness::Good) | None) if before.is_some() => {
                tracing::info!(what, seconds_to_expiry = left, "what relying parties fetch is right again");
            }
            (None, Some(Freshness::Good) | None) => {}
        }
    }
}

impl Desk {
    /// Looks at everything that is served at `address`, for ever.
    pub async fn watch(self: Arc<Self>, address: Address) {
        loop {
            let right = self.watch.seen().values().all(|seen| seen.fault.is_none());
            // Soon at the start, and soon again after something was wrong: an alarm that is over should end.
            let pause = if right && !self.watch.seen().is_empty() { PAUSE } else { PAUSE / 6 };
            tokio::time::sleep(pause).await;
            self.look(&address).await;
        }
    }

    /// Looks at everything once.
    pub async fn look(&self, address: &Address) {
        let office = &self.office;
        for list in self.publisher.lists().iter() {
            for kind in publish::kinds(list) {
                let what = format!("CRL {} of {}", publish::label(list, kind), office.issuer_key);
                let outcome = timeout(self.look_at_crl(address, list, kind)).await;
                match outcome {
                    Ok(Some(last)) => self.watch.note(&what, office.clock.now(), Ok(Some(last))),
                    // Not published yet, and the publisher says why.
                    Ok(None) => {}
                    Err(why) => self.watch.note(&what, office.clock.now(), Err(why)),
                }
            }
        }
        if let Some(root) = &self.root {
            let path = format!("/crl/{}.crl", hexadecimal(root.issuer().key_identifier()));
            let outcome = timeout(Target::here(address, path).crl(Arc::new(root.issuer().clone()))).await;
            let last = |facts: Facts| Last { this_update: facts.this_update, next_update: facts.next_update };
            let outcome = outcome.map(|facts| Some(last(facts)));
            self.watch.note("CRL of the root", office.clock.now(), outcome);
        }
        match self.sample() {
            Ok(serials) => {
                for (what, serial) in serials {
                    let outcome = timeout(self.look_at_ocsp(address, serial)).await;
                    self.watch.note(&what, office.clock.now(), outcome.map(Some));
                }
            }
            Err(error) => tracing::warn!(%error, "the watchdog finds no certificate to ask for"),
        }
    }

    async fn look_at_crl(&self, address: &Address, list: &List, kind: Kind) -> Result<Option<Last>, String> {
        let key = list_key(&self.office.issuer_key, &list.scope.to_string(), kind);
        let stored = || self.publisher.record(&key).map_err(|error| error.to_string());
        let Some(before) = stored()? else { return Ok(None) };
        let identifier = hexadecimal(self.office.issuer.now().key_identifier());
        let path = match (list.scope, kind) {
            (crl::Scope::All, Kind::Complete) => format!("/crl/{identifier}.crl"),
            (crl::Scope::All, Kind::Delta) => format!("/crl/{identifier}/delta.crl"),
            (crl::Scope::Shard(_), _) => format!("/crl/{identifier}/{}.crl", publish::label(list, kind)),
        };
        let facts = Target::here(address, path).crl(self.office.issuer.now()).await?;
        // A new one may have been published meanwhile.
        let after = stored()?.unwrap_or_else(|| before.clone());
        let same = |record: &super::CrlRecord| {
            (facts.number, facts.this_update, facts.next_update, facts.entries)
                == (Some(record.number), record.this_update, record.next_update, record.entries)
        };
        if !same(&before) && !same(&after) {
            return Err(format!(
                "CRL {} with {} entries is served, and the store has {} with {}",
                facts.number.unwrap_or_default(),
                facts.entries,
                after.number,
                after.entries
            ));
        }
        Ok(Some(Last { this_update: facts.this_update, next_update: facts.next_update }))
    }

    /// Certificates whose status is asked for: the one that expires last, and one that is revoked.
    pub(super) fn sample(&self) -> Result<Vec<(String, Serial)>, crate::store::StoreError> {
        let (store, issuer) = (&self.office.store, &*self.office.issuer_key);
        let mut sample = Vec::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        for (key, _) in store.scan(&CERTIFICATES_BY_EXPIRY, everything, FEW, true)? {
            let Some(serial) = key.get(8..).and_then(|serial| Serial::from_slice(serial).ok()) else { continue };
            let row = store.get(&CERTIFICATES, serial.as_bytes())?;
            if row.is_some_and(|row| row.value.issuer == issuer) {
                sample.push(("OCSP answer for a certificate".to_owned(), serial));
                break;
            }
        }
        let prefix = list_prefix(issuer, "all");
        let end = after_prefix(&prefix);
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        for (key, _) in store.scan(&REVOKED, range, 1, true)? {
            if let Ok(serial) = Serial::from_slice(&key[prefix.len()..]) {
                sample.push(("OCSP answer for a revoked certificate".to_owned(), serial));
            }
        }
        Ok(sample)
    }

    async fn look_at_ocsp(&self, address: &Address, serial: Serial) -> Result<Last, String> {
        let id = CertId::new(HashAlgorithm::Sha1, &self.office.issuer.now(), serial);
        let target = Target::here(address, format!("/ocsp/{}", request_path(&id)));
        let before = self.is_revoked(serial)?;
        let said = self.read_ocsp(serial, &target.get().await?)?;
        self.compare_status(serial, before, &said)?;
        Ok(said.last)
    }

    /// Verifies an answer for one certificate.
    pub(super) fn read_ocsp(&self, serial: Serial, body: &[u8]) -> Result<Said, String> {
        let issuer = &self.office.issuer.now();
        let response = BasicResponse::from_der(body).map_err(|error| error.to_string())?;
        let responder = response.verify(issuer).map_err(|error| error.to_string())?;
        if !responder.validity().contains(self.office.clock.now()) {
            return Err("the responder's certificate has run out".to_owned());
        }
        let [single] = &response.data().responses[..] else { return Err("it is not one answer".to_owned()) };
        if single.id.serial() != Some(serial) {
            return Err("the answer is for another certificate".to_owned());
        }
        Ok(Said {
            last: Last { this_update: single.this_update, next_update: single.next_update },
            revoked: matches!(single.status, policy::ocsp::Status::Revoked { .. }),
        })
    }

    /// An answer says what the store says, or said `before` it was asked for.
    pub(super) fn compare_status(&self, serial: Serial, before: bool, said: &Said) -> Result<(), String> {
        if said.revoked != before && said.revoked != self.is_revoked(serial)? {
            return Err(format!("the answer says revoked: {}, and the store the opposite", said.revoked));
        }
        Ok(())
    }

    pub(super) fn is_revoked(&self, serial: Serial) -> Result<bool, String> {
        let store = &self.office.store;
        let failed = |error: crate::store::StoreError| error.to_string();
        if let Some(row) = store.get(&CERTIFICATES, serial.as_bytes()).map_err(failed)? {
            return Ok(row.value.revoked.is_some());
        }
        let row = store.get(&IMPORTED, serial.as_bytes()).map_err(failed)?;
        Ok(row.is_some_and(|row| row.value.revoked.is_some()))
    }
}

pub(super) async fn timeout<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err("it was not answered in time".to_owned()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    crate::issuance::hexadecimal(bytes)
}

/// Said where the health is asked for, by `signetd check` and once in the log.
pub const BLIND: &str = "no listener carries `pki` in plain HTTP: relying parties get no CRL and no OCSP answer from \
    this host, and nobody watches what they get elsewhere: add a listener with `tls = false` and `surfaces = [\"pki\"]`";

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(30);

/// Longest time for one look.
const PATIENCE: Duration = Duration::from_secs(60);

/// Certificates looked at for one of ours: the last to expire may be the issuing one.
const FEW: usize = 8;
