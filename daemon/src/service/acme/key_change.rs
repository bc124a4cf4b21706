//! Rollover of account keys (RFC 8555 section 7.3.5).

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::key::AccountKey;
use super::tables::{ACCOUNT_KEYS, ACCOUNT_THUMBPRINTS, ACCOUNTS};
use crate::store::{Change, CommitError};

impl Acme {
    /// Gives the account another key, whose holder has shown that he wants it. All or nothing,
    /// whatever else happens to the account or to the new key at the same time; afterwards the old
    /// key is nobody's. Orders and authorizations stay.
    pub async fn change_key(&self, account: Account, new: AccountKey) -> Result<Account, AcmeError> {
        let public = new.check()?;
        let digest = public.spki_sha256();
        self.unused(&digest)?;
        self.acceptable(&public)?;
        let Account { id, mut record, version } = account;
        let old = std::mem::replace(&mut record.key, new);
        let mut change = Change::new();
        change.update(&ACCOUNTS, &id, version, &record);
        change.insert(&ACCOUNT_KEYS, digest, &id);
        change.put(&ACCOUNT_THUMBPRINTS, record.key.thumbprint(), &id);
        change.delete(&ACCOUNT_KEYS, old.check()?.spki_sha256());
        change.delete(&ACCOUNT_THUMBPRINTS, old.thumbprint());
        match self.services.store.commit(change).await {
            Ok(()) => {
                self.services.metrics.acme.key_changed();
                tracing::info!(account = id, "account key changed");
                Ok(Account { id, record, version: version + 1 })
            }
            Err(CommitError::Conflict(conflict)) => {
                // Somebody took the key meanwhile, or changed the account.
                self.unused(&digest)?;
                Err(CommitError::Conflict(conflict).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn unused(&self, digest: &[u8; 32]) -> Result<(), AcmeError> {
        match self.services.store.get(&ACCOUNT_KEYS, digest)? {
            None => Ok(()),
            Some(account) => Err(AcmeError::KeyInUse(account.value)),
        }
    }
}
