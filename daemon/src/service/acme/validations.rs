//! Validations under way (RFC 8555 section 8.2): attempts with pauses between them, until control
//! is shown, shown not to be there, or the attempts are used up. A crash interrupts none of them
//! for ever.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::evidence::{CaaCheck, Method};
use policy::name::Name;
use policy::profile::CaaRule;
use tokio::sync::Notify;

use super::Acme;
use super::authorizations::{full_name, validation_key};
use super::error::AcmeError;
use super::orders::by_end;
use super::records::AuthorizationRecord;
use super::tables::{ACCOUNTS, AUTHORIZATIONS, AUTHORIZATIONS_BY_END, AUTHORIZED_NAMES, AccountStatus, VALIDATING};
use crate::service::limits::{MAX_VALIDATIONS, Turn};
use crate::store::{Change, CommitError, Versioned};
use crate::validation::{Attempt, CaaQuestion, Failure, FailureKind, Retry, Shown};

/// Validations under way in this process, each with what wakes it from its pause.
#[derive(Default)]
pub(super) struct Validations(Mutex<HashMap<String, Arc<Notify>>>);

/// How many interrupted validations are read at a time when the daemon starts.
const PAGE: usize = 512;

/// An authorization that expires within so many seconds does not become valid any more.
const LAST_MOMENT: u64 = 60;

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Acme {
    /// Takes up the validations that a stop or crash interrupted, page by page in the background.
    pub(super) fn resume_validations(self: &Arc<Self>) -> Result<(), AcmeError> {
        let first = self.interrupted(None)?;
        if first.is_empty() {
            return Ok(());
        }
        let acme = self.clone();
        tokio::spawn(async move {
            let mut page = first;
            while let Some(last) = page.last().cloned() {
                for (id, method) in page.iter().filter_map(|key| read_key(key)) {
                    while acme.validations.is_full() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    acme.begin(id, method, None);
                }
                match acme.interrupted(Some(&last)) {
                    Ok(next) => page = next,
                    Err(error) => {
                        tracing::error!(%error, "validations that were interrupted cannot be read");
                        break;
                    }
                }
            }
        });
        Ok(())
    }

    fn interrupted(&self, after: Option<&str>) -> Result<Vec<String>, AcmeError> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes()));
        let rows = self.services.store.scan(&VALIDATING, (from, Bound::Unbounded), PAGE, false)?;
        Ok(rows.into_iter().filter_map(|(key, _)| String::from_utf8(key).ok()).collect())
    }

    /// Starts the task that validates, or wakes it if it pauses. One that goes on has no turn: it
    /// was allowed before.
    pub(super) fn begin(self: &Arc<Self>, id: &str, method: Method, turn: Option<Turn>) {
        let key = validation_key(id, method);
        if let Some(wake) = self.validations.enter(&key) {
            let (acme, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                if let Err(error) = acme.validate(&id, method, &wake).await {
                    // It stays among the interrupted; the client's next request or the next start
                    // takes it up again.
                    tracing::error!(%error, authorization = id, "a validation cannot go on");
                }
                acme.validations.leave(&key);
                drop(turn);
            });
        }
    }

    /// Attempts until it is decided.
    async fn validate(&self, id: &str, method: Method, wake: &Notify) -> Result<(), AcmeError> {
        let mut pause = self.services.validation.retry_after;
        for attempt in 1u32.. {
            let Some(row) = self.services.store.get(&AUTHORIZATIONS, id)? else { return Ok(()) };
            let Versioned { value: mut record, version } = row;
            if !record.is_processing(method) || self.is_late(&record) {
                return self.forget_validation(id, method).await;
            }
            let outcome = self.attempt(&record, method).await?;
            // What was seen as expired stays so, whatever the attempt found.
            if self.is_late(&record) {
                return self.forget_validation(id, method).await;
            }
            let last = attempt >= self.services.validation.attempts;
            let now = self.now();
            let mut change = Change::new();
            let decided = match outcome {
                Ok((shown, caa)) => {
                    change.delete(&AUTHORIZATIONS_BY_END, by_end(record.expires, id));
                    let expires = now.plus(self.services.acme.authorization_lifetime.as_secs());
                    record.show(method, shown, caa, now, expires);
                    change.put(&AUTHORIZATIONS_BY_END, by_end(record.expires, id), &());
                    let name = format!("{}/{}", record.account, full_name(&record));
                    change.put(&AUTHORIZED_NAMES, name, &id.to_owned());
                    self.services.limits.succeeded(&mut change, &record.account, &record.name)?;
                    true
                }
                Err(error) if error.retry == Retry::No || last => {
                    self.services.limits.failed(&mut change, &record.account, &record.name, &error.detail, now)?;
                    record.fail(method, error);
                    true
                }
                Err(error) => {
                    record.trouble(method, error);
                    false
                }
            };
            if decided {
                change.delete(&VALIDATING, validation_key(id, method));
            }
            change.update(&AUTHORIZATIONS, id, version, &record);
            match self.services.store.commit(change).await {
                Ok(()) if decided => return Ok(()),
                // Given up by its owner, or decided by another challenge: the next round sees it.
                Ok(()) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake.notified() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Whether an authorization expires before a commit that makes it valid is surely visible.
    fn is_late(&self, record: &AuthorizationRecord) -> bool {
        self.now().plus(LAST_MOMENT) > record.expires
    }

    async fn forget_validation(&self, id: &str, method: Method) -> Result<(), AcmeError> {
        let mut change = Change::new();
        change.delete(&VALIDATING, validation_key(id, method));
        Ok(self.services.store.commit(change).await?)
    }

    /// One attempt over the network: control of the name, and then whether CAA lets us issue.
    async fn attempt(
        &self,
        record: &AuthorizationRecord,
        method: Method,
    ) -> Result<Result<(Shown, Option<CaaCheck>), Failure>, AcmeError> {
        let refused =
            |detail: &str| Failure { kind: FailureKind::Unauthorized, detail: detail.to_owned(), retry: Retry::No };
        let Some(account) = self.services.store.get(&ACCOUNTS, &record.account)? else {
            return Ok(Err(refused("the account is gone")));
        };
        if account.value.status != AccountStatus::Valid {
            return Ok(Err(refused("the account was ended")));
        }
        let Some(challenge) = record.challenge(method) else {
            return Ok(Err(refused("the challenge is gone")));
        };
        let attempt = Attempt {
            name: &record.name,
            wildcard: record.wildcard,
            method,
            token: &challenge.token,
            key_authorization: &format!("{}.{}", challenge.token, account.value.key.thumbprint()),
            account: &self.account_url(&record.account),
            now: self.now(),
        };
        let _turn = self.network.acquire().await.map_err(|error| AcmeError::Internal(error.to_string()))?;
        let shown = match self.validator.validate(&attempt).await {
            Ok(shown) => shown,
            Err(failure) => return Ok(Err(failure)),
        };
        // What is authorized in advance is judged as the default profile has it; a profile that is
        // stricter has CAA asked when its certificate is made.
        let profile = record.profile.as_ref().unwrap_or(&self.services.acme.default_profile);
        let rule = self.services.profiles.now().get(profile).map_or(CaaRule::Check, |profile| profile.caa());
        let (Name::Dns(name), CaaRule::Check) = (&record.name, rule) else { return Ok(Ok((shown, None))) };
        let (wildcard, account) = (record.wildcard, attempt.account);
        let question = CaaQuestion { name, wildcard, method, account, now: self.now() };
        Ok(self.validator.caa(&question).await.map(|caa| (shown, Some(caa))))
    }
}

/// What [`validation_key`] made.
fn read_key(key: &str) -> Option<(&str, Method)> {
    let (id, method) = key.split_once('/')?;
    Some((id, Method::of_challenge(method)?))
}

impl Validations {
    /// Enters a validation, or wakes it if it is there.
    fn enter(&self, key: &str) -> Option<Arc<Notify>> {
        let mut map = self.map();
        if let Some(wake) = map.get(key) {
            wake.notify_one();
            return None;
        }
        let wake = Arc::new(Notify::new());
        map.insert(key.to_owned(), wake.clone());
        Some(wake)
    }

    fn leave(&self, key: &str) {
        self.map().remove(key);
    }

    pub(super) fn is_full(&self) -> bool {
        self.map().len() >= MAX_VALIDATIONS as usize
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
