//! ACME accounts as administrators see them.

use std::ops::Bound;

use super::Acme;
use super::accounts::Account;
use super::tables::ACCOUNTS;
use crate::service::Failure;
use crate::service::administrators::Permitted;

/// Which accounts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountQuery {
    /// Those after the account with this id.
    pub after: Option<String>,
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
        let after = query.after.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        // One more than asked for tells whether there is a next page.
        let rows = self.services.store.scan(&ACCOUNTS, (after, Bound::Unbounded), limit + 1, false)?;
        let more = rows.len() > limit;
        let accounts: Vec<Account> = rows.into_iter().take(limit).map(|(id, row)| Account::read(&id, row)).collect();
        let next = accounts.last().filter(|_| more).map(|account| account.id.clone());
        Ok(AccountPage { accounts, next })
    }

    /// The account with this id, or with the key of this thumbprint.
    pub fn show_account(&self, _permitted: &Permitted, name: &str) -> Result<Account, Failure> {
        self.account(name)?.ok_or_else(|| Failure::Missing(format!("no ACME account is called `{name}`")))
    }
}
