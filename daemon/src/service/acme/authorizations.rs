//! Authorizations and their challenge (RFC 8555 sections 7.1.4, 7.5 and 8).

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::effects::UnixTime;
use policy::name::DnsName;
use tokio::sync::Notify;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::tables::{ACCOUNTS, AUTHORIZATIONS, AUTHORIZED_NAMES, AuthorizationRecord, AuthorizationState, VALIDATING};
use crate::service::limits::{MAX_VALIDATIONS, Turn};
use crate::store::{Change, CommitError, Versioned};
use crate::validation::{self, Failure, FailureKind, Retry};

/// An authorization as its owner sees it.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: AuthorizationRecord,
    /// Whether it can still be used.
    pub expired: Expired,
}

/// Whether the time of something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Not yet.
    No,
    /// It is.
    Yes,
}

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
    /// The authorization of that id, for its owner.
    pub fn authorization(&self, account: &Account, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        Ok(self.view(id, row.value))
    }

    /// The client is ready: validation begins, or is tried again at once (RFC 8555 section 8.2).
    /// A challenge that is decided stays as it is.
    pub async fn respond(self: &Arc<Self>, account: &Account, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        let mut record = row.value;
        match record.state {
            AuthorizationState::Pending if self.now() <= record.expires => {
                if self.validations.is_full() {
                    return Err(self.services.limits.too_many_validations().into());
                }
                self.services.limits.may_validate(&account.id, record.name.as_str(), self.now())?;
                let turn = self.services.limits.validation(&account.id)?;
                record.state = AuthorizationState::Processing { error: None };
                let mut change = Change::new();
                change.update(&AUTHORIZATIONS, id, row.version, &record);
                change.put(&VALIDATING, id, &());
                match self.services.store.commit(change).await {
                    Ok(()) => self.begin(id, Some(turn)),
                    // Another request of the same client began it.
                    Err(CommitError::Conflict(_)) => record = self.own_authorization(account, id)?.value,
                    Err(error) => return Err(error.into()),
                }
            }
            AuthorizationState::Processing { .. } => self.begin(id, None),
            _ => {}
        }
        Ok(self.view(id, record))
    }

    /// Gives an authorization up (RFC 8555 section 7.5.2): it never serves an issuance again.
    pub async fn deactivate_authorization(&self, account: &Account, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        let mut record = row.value;
        let validated = match record.state {
            // What is over stays as it is.
            _ if self.now() > record.expires => return Ok(self.view(id, record)),
            AuthorizationState::Deactivated { .. } | AuthorizationState::Invalid { .. } => {
                return Ok(self.view(id, record));
            }
            AuthorizationState::Valid { at, .. } => Some(at),
            AuthorizationState::Pending | AuthorizationState::Processing { .. } => None,
        };
        record.state = AuthorizationState::Deactivated { validated };
        let mut change = Change::new();
        change.update(&AUTHORIZATIONS, id, row.version, &record);
        change.delete(&VALIDATING, id);
        self.services.store.commit(change).await?;
        Ok(self.view(id, record))
    }

    /// The account's valid authorization for `name` that lasts until `needed`, if there is one.
    pub(super) fn authorized(
        &self,
        account: &str,
        name: &DnsName,
        needed: UnixTime,
    ) -> Result<Option<(String, AuthorizationRecord)>, AcmeError> {
        let Some(id) = self.services.store.get(&AUTHORIZED_NAMES, format!("{account}/{name}"))? else {
            return Ok(None);
        };
        let Some(row) = self.services.store.get(&AUTHORIZATIONS, &id.value)? else { return Ok(None) };
        let valid = matches!(row.value.state, AuthorizationState::Valid { .. }) && row.value.expires >= needed;
        Ok(valid.then_some((id.value, row.value)))
    }

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
                for id in &page {
                    while acme.validations.is_full() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    acme.begin(id, None);
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
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        let rows = self.services.store.scan(&VALIDATING, (from, Bound::Unbounded), PAGE, false)?;
        Ok(rows.into_iter().filter_map(|(id, _)| String::from_utf8(id).ok()).collect())
    }

    /// Starts the task that validates, or wakes it if it pauses. One that goes on has no turn: it
    /// was allowed before.
    fn begin(self: &Arc<Self>, id: &str, turn: Option<Turn>) {
        if let Some(wake) = self.validations.enter(id) {
            let (acme, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                if let Err(error) = acme.validate(&id, &wake).await {
                    // It stays among the interrupted; the client's next request or the next start
                    // takes it up again.
                    tracing::error!(%error, authorization = id, "a validation cannot go on");
                }
                acme.validations.leave(&id);
                drop(turn);
            });
        }
    }

    /// Attempts until control is shown, or shown not to be there, or the attempts are used up.
    async fn validate(&self, id: &str, wake: &Notify) -> Result<(), AcmeError> {
        let mut pause = self.services.validation.retry_after;
        for attempt in 1u32.. {
            let Some(row) = self.services.store.get(&AUTHORIZATIONS, id)? else { return Ok(()) };
            let Versioned { value: mut record, version } = row;
            if !matches!(record.state, AuthorizationState::Processing { .. }) || self.is_late(&record) {
                return self.forget_validation(id).await;
            }
            let outcome = self.attempt(&record).await?;
            // What was seen as expired stays so, whatever the attempt found.
            if self.is_late(&record) {
                return self.forget_validation(id).await;
            }
            let last = attempt >= self.services.validation.attempts;
            let now = self.now();
            let mut change = Change::new();
            let decided = match outcome {
                Ok(()) => {
                    record.expires = now.plus(self.services.acme.authorization_lifetime.as_secs());
                    record.state =
                        AuthorizationState::Valid { at: now, validator: validation::http01::VERSION.to_owned() };
                    change.put(&AUTHORIZED_NAMES, format!("{}/{}", record.account, record.name), &id.to_owned());
                    self.services.limits.succeeded(&mut change, &record.account, record.name.as_str())?;
                    true
                }
                Err(error) if error.retry == Retry::No || last => {
                    let (account, name) = (&record.account, record.name.as_str());
                    self.services.limits.failed(&mut change, account, name, &error.detail, now)?;
                    record.state = AuthorizationState::Invalid { error };
                    true
                }
                Err(error) => {
                    record.state = AuthorizationState::Processing { error: Some(error) };
                    false
                }
            };
            if decided {
                change.delete(&VALIDATING, id);
            }
            change.update(&AUTHORIZATIONS, id, version, &record);
            match self.services.store.commit(change).await {
                Ok(()) if decided => return Ok(()),
                // Given up by its owner meanwhile: the next round sees it.
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

    async fn forget_validation(&self, id: &str) -> Result<(), AcmeError> {
        let mut change = Change::new();
        change.delete(&VALIDATING, id);
        Ok(self.services.store.commit(change).await?)
    }

    /// One attempt over the network.
    async fn attempt(&self, record: &AuthorizationRecord) -> Result<Result<(), Failure>, AcmeError> {
        let Some(account) = self.services.store.get(&ACCOUNTS, &record.account)? else {
            let detail = "the account is gone".to_owned();
            return Ok(Err(Failure { kind: FailureKind::Unauthorized, detail, retry: Retry::No }));
        };
        let expected = format!("{}.{}", record.token, account.value.key.thumbprint());
        let _turn = self.network.acquire().await.map_err(|error| AcmeError::Internal(error.to_string()))?;
        Ok(self.validator.http01(&record.name, &record.token, &expected).await)
    }

    fn own_authorization(&self, account: &Account, id: &str) -> Result<Versioned<AuthorizationRecord>, AcmeError> {
        let row = self.services.store.get(&AUTHORIZATIONS, id)?.ok_or(AcmeError::NotFound("authorization"))?;
        if row.value.account != account.id {
            return Err(AcmeError::Unauthorized("the authorization belongs to another account".into()));
        }
        Ok(row)
    }

    fn view(&self, id: &str, record: AuthorizationRecord) -> Authorization {
        let expired = if self.now() > record.expires { Expired::Yes } else { Expired::No };
        Authorization { id: id.to_owned(), record, expired }
    }
}

impl Validations {
    /// Enters a validation, or wakes it if it is there.
    fn enter(&self, id: &str) -> Option<Arc<Notify>> {
        let mut map = self.map();
        if let Some(wake) = map.get(id) {
            wake.notify_one();
            return None;
        }
        let wake = Arc::new(Notify::new());
        map.insert(id.to_owned(), wake.clone());
        Some(wake)
    }

    fn leave(&self, id: &str) {
        self.map().remove(id);
    }

    fn is_full(&self) -> bool {
        self.map().len() >= MAX_VALIDATIONS as usize
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
