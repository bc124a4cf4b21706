//! External account keys as administrators see them: made, listed, revoked.

use std::ops::Bound;
use std::sync::Arc;

use hsm::wire::Act;
pub use hsm::wire::BoundAccounts;
use policy::grant::Grant;

use super::eab::{CONFLICTS, EAB_ACCOUNTS, EAB_KEYS, EabKeyRecord, EabKeyState, MacKey, Standing, busy, forget_secret};
use super::{Acme, Id};
use crate::service::Failure;
use crate::service::administrators::Permitted;
use crate::store::{Change, CommitError, Versioned};

/// An external account key, without its secret.
#[derive(Clone, Debug)]
pub struct EabKey {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: EabKeyRecord,
    /// Whether an account can be bound to it now.
    pub standing: Standing,
}

/// A page of keys, by id.
#[derive(Clone, Debug)]
pub struct EabKeyPage {
    /// The keys.
    pub keys: Vec<EabKey>,
    /// Where the next page begins, after this id, if there is more.
    pub next: Option<String>,
}

/// Most keys on one page: what a grant can weigh, times this, is an answer that a client takes.
pub const MOST: usize = 100;

impl Acme {
    /// A page of keys after that id, used and revoked ones included.
    pub fn list_eab_keys(
        &self,
        _permitted: &Permitted,
        after: Option<&str>,
        limit: usize,
    ) -> Result<EabKeyPage, Failure> {
        let limit = limit.clamp(1, MOST);
        let after = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        // One more than asked for tells whether there is a next page.
        let rows = self.services.store.scan(&EAB_KEYS, (after, Bound::Unbounded), limit + 1, false)?;
        let more = rows.len() > limit;
        let read = |(id, row): (Vec<u8>, Versioned<EabKeyRecord>)| {
            self.eab_key(String::from_utf8_lossy(&id).into_owned(), row.value)
        };
        let keys: Vec<EabKey> = rows.into_iter().take(limit).map(read).collect();
        let next = keys.last().filter(|_| more).map(|key| key.id.clone());
        Ok(EabKeyPage { keys, next })
    }

    /// The key of that id.
    pub fn show_eab_key(&self, _permitted: &Permitted, id: &str) -> Result<EabKey, Failure> {
        let row = self.services.store.get(&EAB_KEYS, id)?.ok_or_else(|| missing(id))?;
        Ok(self.eab_key(id.to_owned(), row.value))
    }

    /// Makes a key: its secret encrypted, journalled, then in the store. Its secret is given out here and never again.
    pub async fn create_eab_key(&self, permitted: &Permitted, grant: Grant) -> Result<(EabKey, MacKey), Failure> {
        let offered = &self.services.acme.profiles;
        if let Some(unknown) = grant.profiles.iter().find(|name| !offered.contains(name)) {
            let offered = offered.join(", ");
            return Err(Failure::Conflict(format!("the profile `{unknown}` is not offered: use one of {offered}")));
        }
        let now = self.now();
        if grant.expires.is_some_and(|last| last < now) {
            return Err(Failure::Conflict("the key would be expired already: write a later time".into()));
        }
        let random = &self.services.random;
        let id = Id::random(random).map_err(|error| Failure::Internal(error.to_string()))?.to_string();
        let secret = MacKey::random(random).map_err(|error| Failure::Internal(error.to_string()))?;
        let record = EabKeyRecord {
            grant: grant.clone(),
            created: now,
            created_by: permitted.actor().who,
            accounts: 0,
            orders: 0,
            certificates: 0,
            state: EabKeyState::Active,
        };
        let mut change = Change::new();
        change.insert(&EAB_KEYS, &id, &record);
        self.keep_secret(&mut change, &id, &secret, permitted.actor()).await?;
        self.services.ca.note(Act::CreateEabKey { key: id.clone(), grant }, permitted.actor()).await?;
        self.services.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, eab = id, "external account key created");
        Ok((self.eab_key(id, record), secret))
    }

    /// Revokes a key: journalled, then no account can be bound to it any more. Those that are stay
    /// within its grant, or are ended; says how many were. Can be repeated.
    pub async fn revoke_eab_key(
        self: &Arc<Self>,
        permitted: &Permitted,
        id: &str,
        accounts: BoundAccounts,
    ) -> Result<u64, Failure> {
        let store = &self.services.store;
        let known = store.get(&EAB_KEYS, id)?.ok_or_else(|| missing(id))?;
        if matches!(known.value.state, EabKeyState::Revoked { .. }) && accounts == BoundAccounts::Keep {
            return Err(Failure::Conflict(format!("the external account key `{id}` is revoked already")));
        }
        let actor = permitted.actor();
        self.services.ca.note(Act::RevokeEabKey { key: id.to_owned(), accounts }, actor.clone()).await?;
        self.mark_revoked(id, &actor.who).await?;
        tracing::info!(who = actor.who, eab = id, ?accounts, "external account key revoked");
        match accounts {
            BoundAccounts::End => self.end_accounts_of(id, &actor.who).await,
            BoundAccounts::Keep => Ok(0),
        }
    }

    async fn mark_revoked(&self, id: &str, by: &str) -> Result<(), Failure> {
        let store = &self.services.store;
        for _ in 0..CONFLICTS {
            let row = store.get(&EAB_KEYS, id)?.ok_or_else(|| missing(id))?;
            let mut record = row.value;
            if matches!(record.state, EabKeyState::Revoked { .. }) {
                return Ok(());
            }
            record.state = EabKeyState::Revoked { at: self.now(), by: by.to_owned() };
            let mut change = Change::new();
            change.update(&EAB_KEYS, id, row.version, &record);
            forget_secret(&mut change, id);
            match store.commit(change).await {
                Err(CommitError::Conflict(_)) => {}
                other => return Ok(other?),
            }
        }
        Err(busy().into())
    }

    /// Ends every account that is bound to a key, to which no more can be bound.
    async fn end_accounts_of(self: &Arc<Self>, key: &str, by: &str) -> Result<u64, Failure> {
        let (prefix, end) = (format!("{key}/"), format!("{key}0"));
        let mut ended = 0;
        let mut from = Bound::Included(prefix.clone().into_bytes());
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end.as_bytes()));
            let rows = self.services.store.scan(&EAB_ACCOUNTS, range, MOST, false)?;
            for (row, _) in &rows {
                let account = String::from_utf8_lossy(&row[prefix.len()..]);
                ended += u64::from(self.end(&account, by).await?);
            }
            match rows.into_iter().last() {
                Some((last, _)) => from = Bound::Excluded(last),
                None => return Ok(ended),
            }
        }
    }

    fn eab_key(&self, id: String, record: EabKeyRecord) -> EabKey {
        EabKey { standing: record.standing(self.now()), id, record }
    }
}

fn missing(id: &str) -> Failure {
    Failure::Missing(format!("no external account key has the id `{id}`"))
}
