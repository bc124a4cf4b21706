//! Accounts (RFC 8555 section 7.3).

use std::net::IpAddr;

use policy::effects::UnixTime;

use super::error::AcmeError;
use super::key::{AccountKey, JwkError};
use super::tables::{ACCOUNT_KEYS, ACCOUNTS, AccountRecord, AccountStatus};
use super::{Acme, Id};
use crate::service::limits::Counting;
use crate::store::{Change, CommitError, Versioned};

/// Most contacts of an account, and the longest of them: room for a team, not for a dump.
const MAX_CONTACTS: usize = 10;
const MAX_CONTACT: usize = 320;

/// An account that has authenticated itself: its key signed the request.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: AccountRecord,
    version: u64,
}

/// What newAccount asks for. Everything else that is sent is ignored.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// URLs to reach the owner.
    pub contact: Vec<String>,
    /// Whether he agrees to the terms of service.
    pub terms_agreed: bool,
    /// From where it is asked, if over a network.
    pub from: Option<IpAddr>,
    /// Whether an account may be made.
    pub missing: OnMissing,
}

/// What newAccount does when no account has the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Makes one.
    #[default]
    Create,
    /// Says so (`onlyReturnExisting`).
    Refuse,
}

/// What newAccount did.
#[derive(Debug)]
pub enum Opened {
    /// Made an account.
    Created(Account),
    /// Found one; nothing that was sent changed it.
    Found(Account),
}

/// A change of an account by its owner.
#[derive(Clone, Debug, Default)]
pub struct AccountUpdate {
    /// New contacts, if any were sent.
    pub contact: Option<Vec<String>>,
    /// Whether the account ends.
    pub deactivate: Deactivate,
}

/// Whether something is given up for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deactivate {
    /// It stays.
    #[default]
    No,
    /// It ends.
    Yes,
}

impl Acme {
    /// The account of that id, whatever its status.
    pub fn account(&self, id: &str) -> Result<Option<Account>, AcmeError> {
        let row = self.services.store.get(&ACCOUNTS, id)?;
        Ok(row.map(|Versioned { value, version }| Account { id: id.to_owned(), record: value, version }))
    }

    /// The account with that key, or a new one.
    pub async fn open_account(&self, key: AccountKey, wish: NewAccount) -> Result<Opened, AcmeError> {
        let public = key.check()?;
        let fingerprint = public.spki_sha256();
        if let Some(account) = self.account_of_key(&fingerprint)? {
            return Ok(Opened::Found(account));
        }
        if wish.missing == OnMissing::Refuse {
            return Err(AcmeError::AccountDoesNotExist("no account has this key"));
        }
        if let Some(terms) = &self.services.acme.terms_of_service
            && !wish.terms_agreed
        {
            return Err(AcmeError::UserActionRequired(terms.clone()));
        }
        if self.is_ca_key(public.spki()) {
            return Err(AcmeError::BadPublicKey("the key is one of this CA's own: make another".into()));
        }
        check_contacts(&wish.contact)?;
        self.services.limits.new_account(wish.from, Counting::Counted, self.now())?;
        let id = Id::random(&self.services.random)?.to_string();
        let record = AccountRecord {
            key,
            status: AccountStatus::Valid,
            contact: wish.contact,
            terms_agreed: wish.terms_agreed,
            created: self.now(),
        };
        let mut change = Change::new();
        change.insert(&ACCOUNT_KEYS, fingerprint, &id);
        change.insert(&ACCOUNTS, &id, &record);
        match self.services.store.commit(change).await {
            Ok(()) => Ok(Opened::Created(Account { id, record, version: 1 })),
            // The same key registered itself twice at the same time: the other one won.
            Err(CommitError::Conflict(conflict)) => match self.account_of_key(&fingerprint)? {
                Some(account) => Ok(Opened::Found(account)),
                None => Err(CommitError::Conflict(conflict).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Changes contacts, or ends the account (RFC 8555 sections 7.3.2 and 7.3.6). Certificates of
    /// an account that ends are not revoked.
    pub async fn update_account(&self, account: Account, update: AccountUpdate) -> Result<Account, AcmeError> {
        let Account { id, mut record, version } = account;
        if let Some(contact) = update.contact {
            check_contacts(&contact)?;
            record.contact = contact;
        }
        if update.deactivate == Deactivate::Yes {
            record.status = AccountStatus::Deactivated;
        }
        let mut change = Change::new();
        change.update(&ACCOUNTS, &id, version, &record);
        self.services.store.commit(change).await?;
        Ok(Account { id, record, version: version + 1 })
    }

    /// Refuses a deactivated account.
    pub fn usable(account: Account) -> Result<Account, AcmeError> {
        match account.record.status {
            AccountStatus::Valid => Ok(account),
            AccountStatus::Deactivated => Err(AcmeError::AccountDeactivated),
        }
    }

    /// Whether some account has the key with that SubjectPublicKeyInfo digest.
    pub(super) fn is_account_key(&self, spki_sha256: &[u8; 32]) -> Result<bool, AcmeError> {
        Ok(self.services.store.get(&ACCOUNT_KEYS, spki_sha256)?.is_some())
    }

    /// Whether the key is the issuing CA's or the root's.
    pub(super) fn is_ca_key(&self, spki: &[u8]) -> bool {
        self.ca_keys.iter().any(|key| key == spki)
    }

    pub(super) fn now(&self) -> UnixTime {
        self.services.clock.now()
    }

    fn account_of_key(&self, fingerprint: &[u8; 32]) -> Result<Option<Account>, AcmeError> {
        let Some(id) = self.services.store.get(&ACCOUNT_KEYS, fingerprint)? else { return Ok(None) };
        let account = self.account(&id.value)?;
        account.map(Self::usable).transpose()
    }
}

/// RFC 8555 section 7.3: mailto without header fields and with one address.
fn check_contacts(contacts: &[String]) -> Result<(), AcmeError> {
    if contacts.len() > MAX_CONTACTS {
        return Err(AcmeError::InvalidContact(format!("an account has at most {MAX_CONTACTS} contacts")));
    }
    for contact in contacts {
        let shown: String = contact.chars().take(64).collect();
        let Some((scheme, address)) = contact.split_once(':') else {
            return Err(AcmeError::InvalidContact(format!("the contact `{shown}` is not a URL")));
        };
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(AcmeError::UnsupportedContact(format!("the contact `{shown}` is not a mailto URL")));
        }
        let good = contact.len() <= MAX_CONTACT
            && address.bytes().all(|octet| octet.is_ascii_graphic() && !b"?,;<>()[]\\\":%".contains(&octet))
            && address.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && policy::name::DnsName::parse(&domain.to_ascii_lowercase()).is_ok_and(|name| !name.is_wildcard())
            });
        if !good {
            return Err(AcmeError::InvalidContact(format!(
                "the contact `{shown}` is not `mailto:` and one address, without header fields"
            )));
        }
    }
    Ok(())
}

impl From<JwkError> for AcmeError {
    fn from(error: JwkError) -> Self {
        match error {
            JwkError::Member(_) => Self::Malformed(error.to_string()),
            JwkError::Private | JwkError::Refused(_) | JwkError::Unsupported => Self::BadPublicKey(error.to_string()),
        }
    }
}
