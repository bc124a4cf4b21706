//! Validations that fail: counted for each account and name, in the commit that makes the
//! authorization invalid. Who never succeeds is paused until an administrator releases him, so that
//! clients that nobody looks after do not keep the server busy for ever.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::effects::UnixTime;
use policy::name::Name;
use serde::{Deserialize, Serialize};

use super::gcra::Bucket;
use super::{Limit, LimitError, Limits};
use crate::store::{Change, StoreError, Table, Versioned};

/// Failed validations. Key: account id, `/`, name.
pub(super) const FAILURES: Table<FailureRecord> = Table::new("limit_failures");

/// The same by name. Key: name, `/`, account id.
pub(super) const FAILURES_BY_NAME: Table<()> = Table::new("limit_failures_by_name");

/// How validations of one account for one name went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailureRecord {
    /// How many more may fail now.
    pub(super) bucket: Bucket,
    /// How many failed in a row.
    pub(super) in_a_row: u32,
    /// When the last one did.
    pub(super) last: UnixTime,
    /// Why.
    pub(super) why: String,
    /// Since when nothing is validated any more, if so.
    pub(super) paused: Option<UnixTime>,
}

/// Longest text that is kept of a failure, in characters.
const MAX_WHY: usize = 300;

/// What failed so long ago is forgotten, unless it is paused: 30 days.
const FORGET_AFTER: u64 = 30 * 86_400;

/// When a client that is paused should look again.
const DAY: Duration = Duration::from_secs(86_400);

impl Limits {
    /// Whether a validation of this account for this name may begin. Asked when an authorization is
    /// made, and when its challenge is responded to.
    pub fn may_validate(&self, account: &str, name: &Name, now: UnixTime) -> Result<(), LimitError> {
        let name = &name.base().to_string();
        let Some(record) = self.store.get(&FAILURES, by_account(account, name))? else { return Ok(()) };
        let FailureRecord { bucket, in_a_row, why, paused, .. } = record.value;
        if paused.is_some() && self.rules.pause_after.is_some() {
            let detail = format!(
                "{in_a_row} validations of {name} failed in a row, so it is paused for this account (pause_after). \
                 The last failure was: {why}. When that is put right, ask the administrator of this CA to run \
                 `signetctl limits release {name}`"
            );
            return Err(self.too_much(Limit::PauseAfter, detail, DAY).into());
        }
        if let Some(rate) = self.rules.failures
            && let Err(wait) = bucket.take(rate, now)
        {
            return Err(self.too_many(Limit::Failures, rate, Some(name), wait).into());
        }
        Ok(())
    }

    /// A validation failed: counted in the change that says so.
    pub fn failed(
        &self,
        change: &mut Change,
        account: &str,
        name: &Name,
        why: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let name = &name.base().to_string();
        let key = by_account(account, name);
        let row = self.store.get(&FAILURES, &key)?;
        let before = row.as_ref().map(|row| row.value.clone());
        let mut record = before.unwrap_or(FailureRecord {
            bucket: Bucket::default(),
            in_a_row: 0,
            last: now,
            why: String::new(),
            paused: None,
        });
        if let Some(rate) = self.rules.failures {
            record.bucket = record.bucket.take(rate, now).unwrap_or(record.bucket);
        }
        record.in_a_row = record.in_a_row.saturating_add(1);
        record.last = now;
        record.why = why.chars().take(MAX_WHY).collect();
        if record.paused.is_none() && self.rules.pause_after.is_some_and(|most| record.in_a_row >= most) {
            record.paused = Some(now);
            self.pauses.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(account, name, failures = record.in_a_row, "an account is paused for a name");
        }
        match row {
            None => change.insert(&FAILURES, &key, &record),
            Some(Versioned { version, .. }) => change.update(&FAILURES, &key, version, &record),
        }
        change.put(&FAILURES_BY_NAME, by_name(account, name), &());
        Ok(())
    }

    /// A validation succeeded: what failed before is forgotten in the change that says so.
    pub fn succeeded(&self, change: &mut Change, account: &str, name: &Name) -> Result<(), StoreError> {
        let name = &name.base().to_string();
        if self.store.get(&FAILURES, by_account(account, name))?.is_some() {
            forget(change, account, name);
        }
        Ok(())
    }

    /// Removes failures that are long ago from a page of rows. Returns where the next page begins.
    pub(super) fn prune_failures(
        &self,
        change: &mut Change,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        page: usize,
        now: UnixTime,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.store.scan(&FAILURES, range, page, false)?;
        for (key, row) in &rows {
            if row.value.paused.is_none()
                && row.value.last.plus(FORGET_AFTER) < now
                && let Some((account, name)) = split(key)
            {
                forget(change, &account, &name);
            }
        }
        Ok(rows.last().filter(|_| rows.len() == page).map(|(key, _)| key.clone()))
    }
}

/// Removes the failures of an account for a name.
pub(super) fn forget(change: &mut Change, account: &str, name: &str) {
    change.delete(&FAILURES, by_account(account, name));
    change.delete(&FAILURES_BY_NAME, by_name(account, name));
}

/// The two parts of a key of either table; neither has a slash in it.
pub(super) fn split(key: &[u8]) -> Option<(String, String)> {
    let (first, second) = std::str::from_utf8(key).ok()?.split_once('/')?;
    Some((first.to_owned(), second.to_owned()))
}

pub(super) fn by_account(account: &str, name: &str) -> String {
    format!("{account}/{name}")
}

fn by_name(account: &str, name: &str) -> String {
    format!("{name}/{account}")
}
