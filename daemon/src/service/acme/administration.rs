//! ACME accounts as administrators see them.

use std::ops::Bound;
use std::sync::Arc;

use hsm::wire::Act;

use super::Acme;
use super::accounts::Account;
use super::eab::{CONFLICTS, EAB_ACCOUNTS, Standing, busy};
use super::tables::{ACCOUNTS, AccountStatus, Binding, Ended};
use crate::service::Failure;
use crate::service::administrators::Permitted;
use crate::store::{Change, CommitError};

/// Which accounts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountQuery {
    /// Those after the account with this id.
    pub after: Option<String>,
    /// Only those that are bound to the external account key with this id.
    pub eab: Option<String>,
    /// At most so many; at most [`MOST`].
    pub limit: usize,
}

/// A page of accounts, by id.
#[derive(Clone, Debug)]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Where the next page begins, after this id, if there is more.
    pub next: Option<String>,
}

/// Most accounts on one page.
pub const MOST: usize = 500;

impl Acme {
    /// A page of accounts, ended ones included.
    pub fn list_accounts(&self, _permitted: &Permitted, query: &AccountQuery) -> Result<AccountPage, Failure> {
        let limit = query.limit.clamp(1, MOST);
        // One more than asked for tells whether there is a next page.
        let mut accounts = match &query.eab {
            Some(key) => self.accounts_of(key, query.after.as_deref(), limit + 1)?,
            None => {
                let after = query.after.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
                let rows = self.services.store.scan(&ACCOUNTS, (after, Bound::Unbounded), limit + 1, false)?;
                rows.into_iter().map(|(id, row)| Account::read(&id, row)).collect()
            }
        };
        let more = accounts.len() > limit;
        accounts.truncate(limit);
        let next = accounts.last().filter(|_| more).map(|account| account.id.clone());
        Ok(AccountPage { accounts, next })
    }

    /// The account with this id, or with the key of this thumbprint.
    pub fn show_account(&self, _permitted: &Permitted, name: &str) -> Result<Account, Failure> {
        self.account(name)?.ok_or_else(|| missing(name))
    }

    /// Ends an account for ever: journalled, then refused everything. Its certificates stay as they
    /// are.
    pub async fn end_account(self: &Arc<Self>, permitted: &Permitted, name: &str) -> Result<(), Failure> {
        let account = self.show_account(permitted, name)?;
        if account.record.status != AccountStatus::Valid {
            return Err(Failure::Conflict(format!("the ACME account {} was ended before", account.id)));
        }
        let actor = permitted.actor();
        self.services.ca.note(Act::EndAccount { account: account.id.clone() }, actor.clone()).await?;
        self.end(&account.id, &actor.who).await.map(drop)
    }

    /// Binds an account to an external account key, another one than before or its first: journalled,
    /// then its orders keep to what that key grants.
    pub async fn bind_account(&self, permitted: &Permitted, name: &str, key: &str) -> Result<(), Failure> {
        let account = self.show_account(permitted, name)?;
        let redeemed = self.grant_of(key)?;
        let redeemed = redeemed.ok_or_else(|| {
            Failure::Missing(format!("no external account key has the id `{key}`: see `acme eab list`"))
        })?;
        let refused = |why: String| Err(Failure::Conflict(why));
        if account.record.status != AccountStatus::Valid {
            return refused(format!("the ACME account {} was ended", account.id));
        }
        if account.record.binding.as_ref().is_some_and(|binding| binding.key == key) {
            return refused(format!("the ACME account {} is bound to this key already", account.id));
        }
        match redeemed.record().standing(self.now()) {
            Standing::Active => {}
            Standing::Expired => return refused(format!("the external account key `{key}` has expired")),
            Standing::Revoked => return refused(format!("the external account key `{key}` is revoked")),
            Standing::Used => return refused(format!("the external account key `{key}` is good for one account only")),
        }
        let act = Act::BindAccount { account: account.id.clone(), key: key.to_owned() };
        self.services.ca.note(act, permitted.actor()).await?;
        let Account { id, mut record, version } = account;
        let before = record.binding.take();
        let mut change = Change::new();
        if let Some(before) = &before {
            change.delete(&EAB_ACCOUNTS, format!("{}/{id}", before.key));
        }
        record.binding = Some(Binding { key: key.to_owned(), jws: before.and_then(|before| before.jws) });
        change.update(&ACCOUNTS, &id, version, &record);
        redeemed.bind(&mut change, &id, self.now());
        self.services.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, account = id, eab = key, "account bound");
        Ok(())
    }

    /// Ends an account, unless it was ended before; says whether it did.
    pub(super) async fn end(self: &Arc<Self>, id: &str, by: &str) -> Result<bool, Failure> {
        for _ in 0..CONFLICTS {
            let Some(Account { id, mut record, version }) = self.account(id)? else { return Ok(false) };
            if record.status != AccountStatus::Valid {
                return Ok(false);
            }
            record.status = AccountStatus::Revoked;
            record.ended = Some(Ended { at: self.now(), by: by.to_owned() });
            let mut change = Change::new();
            change.update(&ACCOUNTS, &id, version, &record);
            match self.services.store.commit(change).await {
                Ok(()) => {
                    self.was_ended(&Account { id, record, version: version + 1 });
                    return Ok(true);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(busy().into())
    }

    fn accounts_of(&self, key: &str, after: Option<&str>, limit: usize) -> Result<Vec<Account>, Failure> {
        let (prefix, end) = (format!("{key}/"), format!("{key}0"));
        let after = after.map(|id| format!("{prefix}{id}"));
        let from = after.as_ref().map_or(Bound::Included(prefix.as_bytes()), |key| Bound::Excluded(key.as_bytes()));
        let rows = self.services.store.scan(&EAB_ACCOUNTS, (from, Bound::Excluded(end.as_bytes())), limit, false)?;
        let mut accounts = Vec::with_capacity(rows.len());
        for (row, _) in rows {
            accounts.extend(self.account(&String::from_utf8_lossy(&row[prefix.len()..]))?);
        }
        Ok(accounts)
    }
}

fn missing(name: &str) -> Failure {
    Failure::Missing(format!("no ACME account is called `{name}`: see `acme account list`"))
}
