//! Rows of answers: read, kept, due.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use policy::effects::UnixTime;
use policy::ocsp::HashAlgorithm;

use super::{AnswerError, Responder};
use crate::revocation::schedule::{Last, Terms};
use crate::store::status::{Kept, OCSP, OCSP_DUE, OcspRow, due_key};
use crate::store::{Change, CommitError, Store, StoreError};

/// A row as read, or that there is none.
pub(super) struct Row {
    pub(super) value: OcspRow,
    version: Option<u64>,
}

pub(super) fn read(store: &Store, key: &[u8]) -> Result<Row, StoreError> {
    Ok(match store.get(&OCSP, key)? {
        Some(row) => Row { value: row.value, version: Some(row.version) },
        None => Row { value: OcspRow::default(), version: None },
    })
}

impl Row {
    /// The answer for requests with CertIDs of that kind.
    pub(super) fn kept(&self, hash: HashAlgorithm) -> Option<&Kept> {
        match hash {
            HashAlgorithm::Sha1 => self.value.sha1.as_ref(),
            HashAlgorithm::Sha256 => self.value.sha256.as_ref(),
            HashAlgorithm::Sha512 => self.value.sha512.as_ref(),
        }
    }

    /// Whether it is still in the store.
    pub(super) fn exists(&self) -> bool {
        self.version.is_some()
    }

    pub(super) fn put(&mut self, hash: HashAlgorithm, kept: Kept) {
        match hash {
            HashAlgorithm::Sha1 => self.value.sha1 = Some(kept),
            HashAlgorithm::Sha256 => self.value.sha256 = Some(kept),
            HashAlgorithm::Sha512 => self.value.sha512 = Some(kept),
        }
    }

    /// Takes the row away, unless it has changed since it was read.
    pub(super) fn remove(self, change: &mut Change, key: &[u8]) {
        if let Some(version) = self.version {
            change.remove(&OCSP, key, version);
        }
    }

    /// Writes the row, with the time at which it is due again.
    pub(super) fn stage(self, change: &mut Change, key: &[u8], was_due: Option<UnixTime>) {
        if let Some(before) = was_due
            && self.value.due != was_due
        {
            change.delete(&OCSP_DUE, due_key(before, key));
        }
        if let Some(due) = self.value.due {
            change.put(&OCSP_DUE, due_key(due, key), &());
        }
        match self.version {
            Some(version) => change.update(&OCSP, key, version, &self.value),
            None => change.insert(&OCSP, key, &self.value),
        }
    }
}

impl Responder {
    /// Keeps an answer that was asked for at `now`, unless the row has changed since it was read.
    pub(super) async fn keep(
        &self,
        key: &[u8],
        mut row: Row,
        hash: HashAlgorithm,
        kept: Kept,
        now: UnixTime,
    ) -> Result<(), CommitError> {
        let was_due = row.value.due;
        row.put(hash, kept);
        row.value.asked = now;
        row.value.due = self.due(&row, key);
        let mut change = Change::new();
        row.stage(&mut change, key, was_due);
        self.office.store.commit(change).await
    }

    /// When the first of the row's answers is to be signed again.
    pub(super) fn due(&self, row: &Row, key: &[u8]) -> Option<UnixTime> {
        let lifetime = self.config.lifetime.as_secs();
        let terms = Terms { lifetime, every: lifetime / 2 };
        let outage = self.office.longest_outage();
        let jitter = u64::from(crc32fast::hash(key));
        let answers = HashAlgorithm::ALL.into_iter().filter_map(|hash| row.kept(hash));
        answers
            .map(|kept| Last { this_update: kept.this_update, next_update: kept.next_update })
            .map(|last| terms.next(last, outage, jitter))
            .min()
    }

    /// Remembers that somebody asked for a row, if the row does not say so lately; a task writes it.
    pub(super) fn note_asked(&self, key: &[u8], row: &Row, now: UnixTime) {
        let seldom = (self.config.asked.as_secs() / 8).max(1);
        if now.0.saturating_sub(row.value.asked.0) < seldom {
            return;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // What does not fit is noted the next time somebody asks.
        if asked.len() < MOST_ASKED {
            asked.insert(key.to_vec());
        }
    }

    /// Writes down what was asked for.
    pub(super) async fn write_asked(&self) -> Result<(), StoreError> {
        let asked: BTreeSet<Vec<u8>> = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        let now = self.office.clock.now();
        for key in asked {
            let mut row = read(&self.office.store, &key)?;
            if !row.exists() {
                continue;
            }
            let was_due = row.value.due;
            row.value.asked = now;
            row.value.due = self.due(&row, &key).or(was_due);
            let mut change = Change::new();
            row.stage(&mut change, &key, was_due);
            match self.office.store.commit(change).await {
                // Whoever was faster has asked, too.
                Ok(()) | Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whoever was faster has written the row for the same reason.
pub(super) fn commit(outcome: Result<(), CommitError>) -> Result<(), AnswerError> {
    match outcome {
        Ok(()) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(CommitError::Store(error)) => Err(error.into()),
    }
}

/// Rows remembered between two times of writing.
const MOST_ASKED: usize = 100_000;
