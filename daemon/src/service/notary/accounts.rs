//! Accounts: who may speak the dialect, and as what. Each change is journalled, then in force from the next
//! request on.

use std::net::IpAddr;
use std::ops::Bound;

use hsm::wire::Act;
use policy::effects::{EntropyError, UnixTime};
use policy::notary::Deed;
pub use policy::notary::{Email, Role};
use policy::rights::{Actor, Scope};
use serde::{Deserialize, Serialize};

use super::password::{NewPassword, Password, PasswordHash};
use super::sessions::Session;
use crate::issuance::ca::CaError;
use crate::service::limits::{LimitError, TooMuch};
use crate::service::rights::Permitted;
use crate::service::{Failure, Services};
use crate::store::{Change, CommitError, StoreError, Table, Versioned};

/// Accounts. Key: the number, u64, big-endian.
const ACCOUNTS: Table<AccountRecord> = Table::new("notary_accounts");

/// Numbers of accounts. Key: the e-mail address as it is compared.
const ACCOUNTS_BY_EMAIL: Table<u64> = Table::new("notary_accounts_by_email");

/// What is known of all accounts together; every change of them changes it. Key: [`ROSTER_KEY`].
const ROSTER: Table<Roster> = Table::new("notary_roster");

/// The only key of [`ROSTER`].
const ROSTER_KEY: &str = "accounts";

/// All accounts together. There is none before the first account, and there are never none after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Roster {
    /// The number of the next account. None is used twice.
    next: u64,
    accounts: u64,
    administrators: u64,
}

/// An account.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) email: Email,
    pub(super) role: Role,
    /// Nothing for whoever cannot sign in until he is given a password.
    password: Option<PasswordHash>,
    created: UnixTime,
    /// Another one with each password: sessions of before are over.
    pub(super) stamp: u64,
}

impl AccountRecord {
    pub(super) fn new(email: Email, role: Role, password: Option<PasswordHash>, created: UnixTime, stamp: u64) -> Self {
        Self { email, role, password, created, stamp }
    }
}

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: u64,
    /// Its address.
    pub email: Email,
    /// What it may do.
    pub role: Role,
    /// Whether somebody can sign in to it.
    pub has_password: bool,
    /// When it was made.
    pub created: UnixTime,
}

/// Why an account is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one of that address.
    #[error("account with given email already exists")]
    Exists,
    /// Anything else.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// There would be no account any more, and whoever came next could make the first one.
    #[error("cannot delete the last user account when OIDC is not enabled")]
    Last,
    /// Nobody could administer accounts any more.
    #[error("the last administrator account stays: make another one first")]
    LastAdministrator,
    /// There is no such account.
    #[error("there is no such account")]
    Missing,
    /// There are accounts, so nobody in particular makes one.
    #[error("there are accounts already: an administrator makes the next one")]
    NotFirst,
    /// It is the first account, which stays an administrator's.
    #[error("updating the default admin account role is not allowed.")]
    Default,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Anything else.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// He tries too often.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// No account has that address and password.
    #[error("invalid credentials")]
    Wrong,
}

impl Services {
    /// Whether there is an account.
    pub fn notary_is_initialized(&self) -> Result<bool, Failure> {
        Ok(self.store.get(&ROSTER, ROSTER_KEY)?.is_some())
    }

    /// Makes an account. The first one is an administrator's whatever role is asked for; whoever may make
    /// no other one ([`Scope::Own`]) may make that.
    pub async fn open_notary_account(
        &self,
        permitted: &Permitted,
        email: Email,
        password: NewPassword,
        role: Role,
    ) -> Result<Account, AccountError> {
        // No work for whoever may not.
        self.may_open_notary_account(permitted)?;
        let password = password.hash(&self.notary.hashing, self.random.bytes()?).await?;
        let _alone = self.notary.changing.lock().await;
        let roster = self.may_open(permitted)?;
        if self.store.get(&ACCOUNTS_BY_EMAIL, email.folded())?.is_some() {
            return Err(AccountError::Exists);
        }
        let role = if roster.is_none() { Role::Administrator } else { role };
        let before =
            roster.as_ref().map_or(Roster { next: 1, accounts: 0, administrators: 0 }, |row| row.value.clone());
        let account = before.next;
        let deed = Deed::AccountCreated { account, email: email.clone(), role };
        self.change_notary(permitted, deed).await?;
        let record =
            AccountRecord::new(email, role, Some(password), self.clock.now(), u64::from_be_bytes(self.random.bytes()?));
        let after = Roster {
            next: before.next + 1,
            accounts: before.accounts + 1,
            administrators: before.administrators + u64::from(role == Role::Administrator),
        };
        let mut change = Change::new();
        match roster {
            None => change.insert(&ROSTER, ROSTER_KEY, &after),
            Some(row) => change.update(&ROSTER, ROSTER_KEY, row.version, &after),
        }
        change.insert(&ACCOUNTS, account.to_be_bytes(), &record);
        change.insert(&ACCOUNTS_BY_EMAIL, record.email.folded(), &account);
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, account, %role, "account created");
        Ok(view(account, &record))
    }

    /// Whether the caller may make an account now.
    pub fn may_open_notary_account(&self, permitted: &Permitted) -> Result<(), AccountError> {
        self.may_open(permitted).map(drop)
    }

    /// All accounts, by number.
    pub fn notary_accounts(&self, _permitted: &Permitted) -> Result<Vec<Account>, Failure> {
        let rows = self.store.scan(&ACCOUNTS, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
        Ok(rows.into_iter().filter_map(|(key, row)| Some(view(number(&key)?, &row.value))).collect())
    }

    /// The account with this number.
    pub fn notary_account(&self, _permitted: &Permitted, id: u64) -> Result<Account, AccountError> {
        Ok(view(id, &self.account_row(id)?.value))
    }

    /// The caller's own account.
    pub fn own_notary_account(&self, permitted: &Permitted) -> Result<Account, AccountError> {
        let Actor::Notary(_, id) = permitted.who() else { return Err(AccountError::Missing) };
        self.notary_account(permitted, *id)
    }

    /// The address of the account with this number, if there still is one.
    pub(super) fn notary_email(&self, id: u64) -> Result<Option<Email>, StoreError> {
        Ok(self.store.get(&ACCOUNTS, id.to_be_bytes())?.map(|row| row.value.email))
    }

    /// Removes an account; its sessions are over.
    pub async fn remove_notary_account(&self, permitted: &Permitted, id: u64) -> Result<(), AccountError> {
        let _alone = self.notary.changing.lock().await;
        let (row, roster) = (self.account_row(id)?, self.roster()?);
        let administrators = roster.value.administrators - u64::from(row.value.role == Role::Administrator);
        if administrators == 0 {
            return Err(if roster.value.accounts == 1 { AccountError::Last } else { AccountError::LastAdministrator });
        }
        let email = row.value.email.clone();
        self.change_notary(permitted, Deed::AccountRemoved { account: id, email }).await?;
        let after = Roster { accounts: roster.value.accounts - 1, administrators, ..roster.value };
        let mut change = Change::new();
        change.update(&ROSTER, ROSTER_KEY, roster.version, &after);
        change.remove(&ACCOUNTS, id.to_be_bytes(), row.version);
        change.delete(&ACCOUNTS_BY_EMAIL, row.value.email.folded());
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, account = id, "account removed");
        Ok(())
    }

    /// Gives an account another password; its sessions are over.
    pub async fn set_notary_password(
        &self,
        permitted: &Permitted,
        id: u64,
        password: NewPassword,
    ) -> Result<(), AccountError> {
        self.account_row(id)?;
        let password = password.hash(&self.notary.hashing, self.random.bytes()?).await?;
        let _alone = self.notary.changing.lock().await;
        let Versioned { value, version } = self.account_row(id)?;
        self.change_notary(permitted, Deed::PasswordSet { account: id }).await?;
        let stamp = u64::from_be_bytes(self.random.bytes()?);
        let record = AccountRecord { password: Some(password), stamp, ..value };
        let mut change = Change::new();
        change.update(&ACCOUNTS, id.to_be_bytes(), version, &record);
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, account = id, "password set");
        Ok(())
    }

    /// The same for the caller's own account.
    pub async fn set_own_notary_password(
        &self,
        permitted: &Permitted,
        password: NewPassword,
    ) -> Result<(), AccountError> {
        let id = self.own_notary_account(permitted)?.id;
        self.set_notary_password(permitted, id, password).await
    }

    /// Gives an account another role.
    pub async fn set_notary_role(&self, permitted: &Permitted, id: u64, role: Role) -> Result<(), AccountError> {
        let _alone = self.notary.changing.lock().await;
        let (Versioned { value, version }, roster) = (self.account_row(id)?, self.roster()?);
        if id == FIRST {
            return Err(AccountError::Default);
        }
        let of = |role: Role| u64::from(role == Role::Administrator);
        let administrators = roster.value.administrators + of(role) - of(value.role);
        if administrators == 0 {
            return Err(AccountError::LastAdministrator);
        }
        self.change_notary(permitted, Deed::RoleSet { account: id, role }).await?;
        let mut change = Change::new();
        change.update(&ROSTER, ROSTER_KEY, roster.version, &Roster { administrators, ..roster.value });
        change.update(&ACCOUNTS, id.to_be_bytes(), version, &AccountRecord { role, ..value });
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, account = id, %role, "role set");
        Ok(())
    }

    /// Begins a session for whoever knows the address and the password of an account.
    pub async fn notary_sign_in(
        &self,
        from: Option<IpAddr>,
        email: &str,
        password: Password,
    ) -> Result<Session, SignInError> {
        let now = self.clock.now();
        let email = Email::parse(email).map_err(|_| SignInError::Wrong)?.folded();
        self.limits.sign_in(from, &email, now).map_err(|error| match error {
            LimitError::TooMuch(much) => SignInError::TooMuch(much),
            LimitError::Store(error) => Failure::from(error).into(),
        })?;
        let id = self.store.get(&ACCOUNTS_BY_EMAIL, email).map_err(Failure::from)?.map(|row| row.value);
        let read = |id: u64| self.store.get(&ACCOUNTS, id.to_be_bytes());
        let mut account = id.map(read).transpose().map_err(Failure::from)?.flatten().map(|row| row.value);
        let hash = account.as_mut().and_then(|account| account.password.take());
        if !PasswordHash::is_of(hash, &self.notary.hashing, password).await? {
            tracing::warn!(account = id, "nobody was signed in");
            return Err(SignInError::Wrong);
        }
        let (Some(id), Some(account)) = (id, account) else { return Err(SignInError::Wrong) };
        let session = self.notary.sessions.begin(id, &account, &self.random, now).map_err(entropy)?;
        tracing::info!(account = id, "signed in");
        Ok(session)
    }

    /// Ends a session, if that is one.
    pub fn notary_sign_out(&self, session: &str) {
        self.notary.sessions.end(session, self.clock.now());
    }

    /// The account of a session that is not over, and what it may do now.
    pub(in crate::service) fn notary_session(&self, session: &str) -> Result<Option<(u64, Role)>, StoreError> {
        let Some(claims) = self.notary.sessions.read(session, self.clock.now()) else { return Ok(None) };
        let row = self.store.get(&ACCOUNTS, claims.id.to_be_bytes())?;
        Ok(row.filter(|row| row.value.stamp == claims.stamp).map(|row| (claims.id, row.value.role)))
    }

    /// Journals what is about to be done.
    pub(super) async fn change_notary(&self, permitted: &Permitted, deed: Deed) -> Result<(), CaError> {
        self.ca.note(Act::ChangeNotary { deed }, permitted.actor()).await
    }

    /// The roster, if the caller may add to it.
    fn may_open(&self, permitted: &Permitted) -> Result<Option<Versioned<Roster>>, AccountError> {
        let roster = self.store.get(&ROSTER, ROSTER_KEY)?;
        if roster.is_some() && permitted.scope() == Scope::Own { Err(AccountError::NotFirst) } else { Ok(roster) }
    }

    fn roster(&self) -> Result<Versioned<Roster>, AccountError> {
        self.store.get(&ROSTER, ROSTER_KEY)?.ok_or(AccountError::Missing)
    }

    fn account_row(&self, id: u64) -> Result<Versioned<AccountRecord>, AccountError> {
        self.store.get(&ACCOUNTS, id.to_be_bytes())?.ok_or(AccountError::Missing)
    }
}

fn view(id: u64, record: &AccountRecord) -> Account {
    let AccountRecord { email, role, password, created, stamp: _ } = record;
    Account { id, email: email.clone(), role: *role, has_password: password.is_some(), created: *created }
}

/// The number that a key is.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn entropy(error: EntropyError) -> Failure {
    Failure::Internal(error.to_string())
}

/// The account that was made first.
const FIRST: u64 = 1;

/// Most accounts that are listed.
const MOST: usize = 10_000;

macro_rules! failures {
    ($($error:ty)*) => {$(
        impl From<$error> for AccountError {
            fn from(error: $error) -> Self {
                Self::Failure(error.into())
            }
        }
    )*};
}

failures!(CaError CommitError StoreError);

impl From<EntropyError> for AccountError {
    fn from(error: EntropyError) -> Self {
        Self::Failure(entropy(error))
    }
}
