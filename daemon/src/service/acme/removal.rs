//! Removing what nobody needs any more: orders and authorizations that ended longer ago than they
//! are kept. An order with a certificate stays as long as the certificate lasts.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use policy::effects::UnixTime;
use policy::serial::Serial;
use policy::tbs::Certificate;

use super::Acme;
use super::authorizations::{full_name, validation_key};
use super::error::AcmeError;
use super::orders::by_end;
use super::renewal::replaced_serial;
use super::tables::{
    ACCOUNT_ORDERS, AUTHORIZATIONS, AUTHORIZATIONS_BY_END, AUTHORIZED_NAMES, CHALLENGE_TOKENS, ORDERS_BY_END,
    REPLACEMENTS, VALIDATING,
};
use crate::issuance::orders::{ORDERS, UNDERWAY};
use crate::store::tables::CERTIFICATES;
use crate::store::{Change, CommitError, Table};

/// Entries that one round looks at, in one commit: requests wait no longer than for this.
const ROUND: usize = 64;

/// Pause between two rounds when there is more, and when there is not.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

impl Acme {
    /// Removes for ever, a little at a time. Boot runs it as one task.
    pub async fn keep_clean(self: Arc<Self>) {
        loop {
            if let Err(error) = self.encrypt_some().await {
                tracing::warn!(%error, "the secrets of external account keys cannot be encrypted");
            }
            let pause = match self.remove_some().await {
                Ok(0) => LONG,
                Ok(removed) => {
                    tracing::debug!(removed, "orders and authorizations that ended were removed");
                    SHORT
                }
                Err(error) => {
                    tracing::warn!(%error, "orders and authorizations that ended cannot be removed");
                    LONG
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One round; says how many entries it dealt with.
    pub(crate) async fn remove_some(&self) -> Result<usize, AcmeError> {
        let kept = self.services.acme.orders.retention.as_secs();
        let before = self.now().minus(kept);
        let mut change = Change::new();
        let orders = self.ended(&ORDERS_BY_END, before)?;
        for (key, id) in &orders {
            self.remove_order(&mut change, key, id, before)?;
        }
        let authorizations = self.ended(&AUTHORIZATIONS_BY_END, before)?;
        for (key, id) in &authorizations {
            self.remove_authorization(&mut change, key, id, before)?;
        }
        let count = orders.len() + authorizations.len();
        if count == 0 {
            return Ok(0);
        }
        match self.services.store.commit(change).await {
            // Something changed meanwhile: the next round looks again.
            Err(CommitError::Conflict(_)) => Ok(count),
            Ok(()) => {
                self.services.metrics.acme.orders_removed(count);
                Ok(count)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The entries of an index that ended before that time: keys and ids.
    fn ended(&self, index: &Table<()>, before: UnixTime) -> Result<Vec<(Vec<u8>, String)>, AcmeError> {
        let end = before.0.to_be_bytes();
        let rows = self.services.store.scan(index, (Bound::Unbounded, Bound::Excluded(&end)), ROUND, false)?;
        let id = |key: &[u8]| key.get(8..).map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
        Ok(rows.into_iter().map(|(key, _)| (key.clone(), id(&key))).collect())
    }

    fn remove_order(&self, change: &mut Change, key: &[u8], id: &str, before: UnixTime) -> Result<(), AcmeError> {
        change.delete(&ORDERS_BY_END, key);
        let Some(row) = self.services.store.get(&ORDERS, id)? else { return Ok(()) };
        let order = row.value;
        let needed = match (order.certificate, order.processing) {
            (Some(serial), _) => self.last_second(serial)?,
            // It is looked at again when it may have become something.
            (None, Some(_)) => Some(self.now()),
            (None, None) => None,
        };
        if let Some(end) = needed.filter(|end| *end >= before) {
            change.put(&ORDERS_BY_END, by_end(end, id), &());
            return Ok(());
        }
        // Guards the removal: an order that is completed at this moment is not removed.
        change.update(&ORDERS, id, row.version, &order);
        change.delete(&ORDERS, id);
        change.delete(&UNDERWAY, id);
        change.delete(&ACCOUNT_ORDERS, format!("{}/{id}", order.account));
        if let Some(serial) = order.replaces.as_deref().and_then(replaced_serial)
            && self.services.store.get(&REPLACEMENTS, serial.as_bytes())?.is_some_and(|row| row.value == id)
        {
            change.delete(&REPLACEMENTS, serial.as_bytes());
        }
        Ok(())
    }

    fn remove_authorization(
        &self,
        change: &mut Change,
        key: &[u8],
        id: &str,
        before: UnixTime,
    ) -> Result<(), AcmeError> {
        change.delete(&AUTHORIZATIONS_BY_END, key);
        let Some(row) = self.services.store.get(&AUTHORIZATIONS, id)? else { return Ok(()) };
        let record = row.value;
        if record.expires >= before {
            change.put(&AUTHORIZATIONS_BY_END, by_end(record.expires, id), &());
            return Ok(());
        }
        change.update(&AUTHORIZATIONS, id, row.version, &record);
        change.delete(&AUTHORIZATIONS, id);
        for challenge in &record.challenges {
            change.delete(&VALIDATING, validation_key(id, challenge.method));
            if !challenge.token.is_empty() {
                change.delete(&CHALLENGE_TOKENS, &challenge.token);
            }
        }
        let name = format!("{}/{}", record.account, full_name(&record));
        if self.services.store.get(&AUTHORIZED_NAMES, &name)?.is_some_and(|row| row.value == id) {
            change.delete(&AUTHORIZED_NAMES, name);
        }
        Ok(())
    }

    /// The last second of a certificate, as far as it can be told.
    fn last_second(&self, serial: Serial) -> Result<Option<UnixTime>, AcmeError> {
        let Some(row) = self.services.store.get(&CERTIFICATES, serial.as_bytes())? else { return Ok(None) };
        Ok(Certificate::from_der(&row.value.certificate).ok().map(|certificate| certificate.validity().not_after()))
    }
}
