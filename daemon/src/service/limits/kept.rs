//! The buckets in the store: read when they are not in memory, written behind, pruned when full.
//!
//! A row is merged with what is there and written under the version that was read, so that several
//! processes that share a store add up. A crash gives back what was taken in the last second, and of
//! each bucket less than a quarter; an orderly stop gives back nothing.

use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;

use policy::effects::{Clock, UnixTime};

use super::gcra::Bucket;
use super::memory::Unsaved;
use super::{Limits, lock};
use crate::store::{Change, CommitError, StoreError, Table, Versioned};

/// Buckets. Key: name of the limit, `/`, its subject.
pub(super) const BUCKETS: Table<Bucket> = Table::new("limit_buckets");

/// What is to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// Everything: an orderly stop.
    All,
    /// What lacks more than a quarter.
    Much,
}

impl Limits {
    /// Writes buckets down every second and removes what is over, until the limits are gone.
    pub async fn keep(limits: Weak<Self>, clock: Arc<dyn Clock>) {
        let mut cursor = None;
        let mut every = tokio::time::interval(EVERY);
        for round in 1u64.. {
            every.tick().await;
            let Some(limits) = limits.upgrade() else { return };
            limits.save(Save::Much, clock.now()).await;
            if cursor.is_some() || round.is_multiple_of(PRUNE_EVERY) {
                let pruned = limits.prune(cursor.take().unwrap_or(Cursor::START), clock.now()).await;
                cursor = pruned.unwrap_or_else(|error| {
                    tracing::debug!(%error, "limits that are over could not be removed");
                    None
                });
            }
        }
    }

    /// Writes buckets down. What cannot be written now is tried again.
    pub async fn save(&self, what: Save, now: UnixTime) {
        let unsaved = match what {
            Save::All => lock(&self.buckets).take_all_unsaved(now),
            Save::Much => lock(&self.buckets).take_unsaved(),
        };
        for page in unsaved.chunks(PAGE) {
            match self.write(page).await {
                Ok(merged) => {
                    let mut memory = lock(&self.buckets);
                    page.iter().zip(merged).for_each(|((key, _), bucket)| memory.saved(key, bucket));
                }
                Err(error) => {
                    tracing::debug!(%error, "limits could not be written down");
                    let mut memory = lock(&self.buckets);
                    page.iter().for_each(|(key, unsaved)| memory.failed(key.clone(), *unsaved));
                }
            }
        }
    }

    /// Removes everything that is over.
    #[cfg(test)]
    pub(super) async fn prune_all(&self, now: UnixTime) {
        let mut cursor = Some(Cursor::START);
        while let Some(after) = cursor {
            cursor = self.prune(after, now).await.unwrap();
        }
    }

    /// The bucket in the store; a full one if there is none.
    pub(super) fn read(&self, key: &str) -> Result<Bucket, StoreError> {
        Ok(self.store.get(&BUCKETS, key)?.map_or(Bucket::default(), |row| row.value))
    }

    async fn write(&self, page: &[(String, Unsaved)]) -> Result<Vec<Bucket>, CommitError> {
        let mut change = Change::new();
        let mut merged = Vec::with_capacity(page.len());
        for (key, Unsaved { since, added }) in page {
            let bucket = match self.store.get(&BUCKETS, key)? {
                None => {
                    let bucket = Bucket::default().merged(*since, *added);
                    change.insert(&BUCKETS, key, &bucket);
                    bucket
                }
                Some(Versioned { value, version }) => {
                    let bucket = value.merged(*since, *added);
                    change.update(&BUCKETS, key, version, &bucket);
                    bucket
                }
            };
            merged.push(bucket);
        }
        self.store.commit(change).await?;
        Ok(merged)
    }

    /// Removes a page of rows that say nothing any more: full buckets, and failures that are long
    /// ago. Returns where the next page begins; nothing at the end.
    async fn prune(&self, after: Cursor, now: UnixTime) -> Result<Option<Cursor>, CommitError> {
        let mut change = Change::new();
        let next = match after {
            Cursor::Buckets(after) => {
                let rows = self.store.scan(&BUCKETS, above(&after), PAGE, false)?;
                rows.iter().filter(|(_, row)| row.value.is_full(now)).for_each(|(key, _)| change.delete(&BUCKETS, key));
                let last = rows.last().filter(|_| rows.len() == PAGE);
                Some(last.map_or(Cursor::Failures(Vec::new()), |(key, _)| Cursor::Buckets(key.clone())))
            }
            Cursor::Failures(after) => {
                self.prune_failures(&mut change, above(&after), PAGE, now)?.map(Cursor::Failures)
            }
        };
        self.store.commit(change).await?;
        Ok(next)
    }
}

/// Where pruning is.
enum Cursor {
    Buckets(Vec<u8>),
    Failures(Vec<u8>),
}

impl Cursor {
    const START: Self = Self::Buckets(Vec::new());
}

fn above(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (if key.is_empty() { Bound::Unbounded } else { Bound::Excluded(key) }, Bound::Unbounded)
}

/// How often buckets are written down.
const EVERY: Duration = Duration::from_secs(1);

/// In how many of these rounds one begins to remove what is over.
const PRUNE_EVERY: u64 = 60;

/// Rows in one commit or one scan.
const PAGE: usize = 500;
