//! Accounts (RFC 8555 section 7.3).

use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use policy::effects::UnixTime;
use policy::grant::RateLimits;
use policy::key::PublicKey;

use super::eab::{self, CONFLICTS, ExternalBinding};
use super::error::AcmeError;
use super::finalize::actor;
use super::key::{AccountKey, JwkError};
use super::tables::{
    ACCOUNT_KEYS, ACCOUNT_THUMBPRINTS, ACCOUNTS, AccountRecord, AccountStatus, Agreement, Binding, Ended,
};
use super::{Acme, Id, contacts};
use crate::config::{ExternalAccounts, TermsChanged};
use crate::store::tables::CERTIFICATES_BY_SPKI;
use crate::store::{Change, CommitError, Versioned};

/// An account that has authenticated itself: its key signed the request.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: AccountRecord,
    pub(super) version: u64,
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
    /// The external account key that its owner has, if he has one.
    pub binding: Option<ExternalBinding>,
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
    /// Whether he agrees to the terms of service.
    pub terms_agreed: bool,
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

/// Whether an owner agreed to the terms of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// He did not, or to others.
    No,
    /// He did.
    Yes,
}

/// That the terms of service are to be agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsRequired {
    /// URL of the terms.
    pub terms: String,
    /// URL of a page that says how to agree.
    pub how: String,
}

/// Path of the page that says how to agree to the terms of service.
pub const HOW_TO_AGREE: &str = "/acme/terms";

impl Account {
    pub(super) fn read(id: &[u8], row: Versioned<AccountRecord>) -> Self {
        Self { id: String::from_utf8_lossy(id).into_owned(), record: row.value, version: row.version }
    }

    /// Whether `name` names it: its id, or the thumbprint of its key.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.record.key.thumbprint() == name
    }
}

impl Acme {
    /// The account of that id, or with the key of that thumbprint, whatever its status.
    pub fn account(&self, name: &str) -> Result<Option<Account>, AcmeError> {
        let store = &self.services.store;
        if let Some(row) = store.get(&ACCOUNTS, name)? {
            return Ok(Some(Account::read(name.as_bytes(), row)));
        }
        let Some(id) = store.get(&ACCOUNT_THUMBPRINTS, name)? else { return Ok(None) };
        let row = store.get(&ACCOUNTS, &id.value)?;
        Ok(row.map(|row| Account::read(id.value.as_bytes(), row)))
    }

    /// The account with that key, or a new one.
    pub async fn open_account(&self, key: AccountKey, wish: NewAccount) -> Result<Opened, AcmeError> {
        let public = key.check()?;
        let fingerprint = public.spki_sha256();
        let mut counted = false;
        for _ in 0..CONFLICTS {
            if let Some(account) = self.account_of_key(&fingerprint, &key)? {
                return Ok(Opened::Found(account));
            }
            if wish.missing == OnMissing::Refuse {
                return Err(AcmeError::AccountDoesNotExist("no account has this key"));
            }
            self.acceptable(&public)?;
            if let Some(terms) = &self.services.acme.terms_of_service
                && !wish.terms_agreed
            {
                return Err(self.terms_required(terms));
            }
            contacts::check(&wish.contact)?;
            let redeemed = match (&wish.binding, self.services.acme.accounts.external) {
                (Some(binding), _) => Some(self.redeem(binding).await?),
                (None, ExternalAccounts::Optional) => None,
                (None, ExternalAccounts::Required) => return Err(AcmeError::ExternalAccountRequired),
            };
            // One request is counted once, however often it has to look again.
            if !counted {
                let limits = redeemed.as_ref().map_or(RateLimits::Apply, |redeemed| redeemed.record().grant.limits);
                self.services.limits.new_account(wish.from, limits, self.now())?;
                counted = true;
            }
            let id = Id::random(&self.services.random)?.to_string();
            let record = AccountRecord {
                key: key.clone(),
                status: AccountStatus::Valid,
                contact: wish.contact.clone(),
                terms: wish.terms_agreed.then(|| self.agreement()),
                created: self.now(),
                binding: redeemed
                    .as_ref()
                    .zip(wish.binding.as_ref())
                    .map(|(redeemed, binding)| Binding { key: redeemed.id.clone(), jws: Some(binding.jws.clone()) }),
                ended: None,
            };
            let mut change = Change::new();
            change.insert(&ACCOUNT_KEYS, fingerprint, &id);
            change.put(&ACCOUNT_THUMBPRINTS, key.thumbprint(), &id);
            change.insert(&ACCOUNTS, &id, &record);
            if let Some(redeemed) = &redeemed {
                redeemed.bind(&mut change, &id, record.created);
            }
            match self.services.store.commit(change).await {
                Ok(()) => {
                    self.services.metrics.acme.account_created();
                    tracing::info!(account = id, eab = redeemed.map(|redeemed| redeemed.id), "account created");
                    return Ok(Opened::Created(Account { id, record, version: 1 }));
                }
                // The same key registered itself twice at the same time and the other one won, or
                // somebody else was bound to the same external account key: look again.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(eab::busy())
    }

    /// Changes contacts, agrees to the terms of service, or ends the account (RFC 8555 sections
    /// 7.3.2, 7.3.3 and 7.3.6). Certificates of an account that ends are not revoked.
    pub async fn update_account(
        self: &Arc<Self>,
        account: Account,
        update: AccountUpdate,
    ) -> Result<Account, AcmeError> {
        let Account { id, mut record, version } = account;
        if let Some(contact) = update.contact {
            contacts::check(&contact)?;
            record.contact = contact;
        }
        if update.terms_agreed && self.has_agreed(&record) == Agreed::No {
            record.terms = Some(self.agreement());
        }
        if update.deactivate == Deactivate::Yes {
            record.status = AccountStatus::Deactivated;
            record.ended = Some(Ended { at: self.now(), by: actor(&id) });
        }
        let mut change = Change::new();
        change.update(&ACCOUNTS, &id, version, &record);
        self.services.store.commit(change).await?;
        let account = Account { id, record, version: version + 1 };
        if update.deactivate == Deactivate::Yes {
            self.was_ended(&account);
        }
        Ok(account)
    }

    /// Refuses an account that was ended.
    pub fn usable(account: Account) -> Result<Account, AcmeError> {
        match account.record.status {
            AccountStatus::Valid => Ok(account),
            AccountStatus::Deactivated | AccountStatus::Revoked => Err(AcmeError::AccountDeactivated),
        }
    }

    /// Whether the owner agreed to the terms of service that are in force. Whoever agreed
    /// to others has, unless the configuration says that he must agree again.
    pub fn has_agreed(&self, record: &AccountRecord) -> Agreed {
        match (&record.terms, &self.services.acme.terms_of_service, self.services.acme.accounts.terms_changed) {
            (None, _, _) => Agreed::No,
            (Some(terms), Some(current), TermsChanged::Require) if terms.url.as_ref() != Some(current) => Agreed::No,
            (Some(_), _, _) => Agreed::Yes,
        }
    }

    /// Refuses an account whose owner must agree to changed terms of service first (RFC 8555 section
    /// 7.3.3). What protects him, such as revoking, goes on.
    pub fn bound_by_terms(&self, account: &Account) -> Result<(), AcmeError> {
        match &self.services.acme.terms_of_service {
            Some(terms)
                if self.services.acme.accounts.terms_changed == TermsChanged::Require
                    && self.has_agreed(&account.record) == Agreed::No =>
            {
                Err(self.terms_required(terms))
            }
            _ => Ok(()),
        }
    }

    /// What follows when an account is ended: what it began is given up, in the background, because
    /// it may be much.
    pub(super) fn was_ended(self: &Arc<Self>, account: &Account) {
        self.services.metrics.acme.account_ended();
        let by = account.record.ended.as_ref().map(|ended| ended.by.as_str());
        tracing::info!(account = account.id, by, "account ended");
        let (acme, account) = (self.clone(), account.clone());
        tokio::spawn(async move {
            if let Err(error) = acme.give_up_orders(&account).await {
                // They can be used by nobody all the same.
                tracing::warn!(%error, account = account.id, "not all orders of an ended account were given up");
            }
        });
    }

    /// Gives up the authorizations of every order that is not completed, and with them the orders.
    async fn give_up_orders(&self, account: &Account) -> Result<(), AcmeError> {
        let mut after = None;
        loop {
            let page = self.orders(account, after.as_deref())?;
            for id in &page.orders {
                let (order, _) = self.read_order(account, id)?;
                if order.record.certificate.is_some() {
                    continue;
                }
                for authorization in &order.record.authorizations {
                    self.deactivate_authorization(account, authorization).await?;
                }
            }
            match page.next {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
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

    /// Refuses a key for an account that is in use for something else.
    pub(super) fn acceptable(&self, key: &PublicKey) -> Result<(), AcmeError> {
        if self.is_ca_key(key.spki()) {
            return Err(AcmeError::BadPublicKey("the key is one of this CA's own: make another".into()));
        }
        let digest = key.spki_sha256();
        let end = [digest.as_slice(), &[0xff; 21]].concat();
        let range = (Bound::Included(digest.as_slice()), Bound::Included(end.as_slice()));
        if self.services.store.scan(&CERTIFICATES_BY_SPKI, range, 1, false)?.is_empty() {
            return Ok(());
        }
        Err(AcmeError::BadPublicKey("the key is that of a certificate: make one for the account alone".into()))
    }

    /// The time.
    pub fn now(&self) -> UnixTime {
        self.services.clock.now()
    }

    /// What is agreed to now.
    fn agreement(&self) -> Agreement {
        Agreement { url: self.services.acme.terms_of_service.clone(), at: self.now() }
    }

    fn terms_required(&self, terms: &str) -> AcmeError {
        let how = format!("{}{HOW_TO_AGREE}", self.services.public_url);
        AcmeError::UserActionRequired(TermsRequired { terms: terms.to_owned(), how })
    }

    fn account_of_key(&self, fingerprint: &[u8; 32], key: &AccountKey) -> Result<Option<Account>, AcmeError> {
        let Some(id) = self.services.store.get(&ACCOUNT_KEYS, fingerprint)? else { return Ok(None) };
        // Between the two reads the account may have got another key.
        let account = self.account(&id.value)?.filter(|account| account.record.key == *key);
        account.map(Self::usable).transpose()
    }
}

impl From<JwkError> for AcmeError {
    fn from(error: JwkError) -> Self {
        match error {
            JwkError::Member(_) => Self::Malformed(error.to_string()),
            JwkError::Private | JwkError::Refused(_) | JwkError::Unsupported => Self::BadPublicKey(error.to_string()),
        }
    }
}
