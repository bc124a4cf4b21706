//! The contents of one CRL, from the store to a sealed memfd: a page at a time, whatever there is.

use std::collections::BTreeMap;
use std::io::BufWriter;
use std::ops::Bound;

use hsm::wire::{Paper, SealedPaper};
use policy::crl::{self, CrlError, Draft, Entry, Mark, Reason, Writer, Written};
use policy::effects::UnixTime;
use policy::serial::Serial;

use crate::store::status::{REVOKED, REVOKED_CHANGES, RevokedEntry, StatusChange, after_prefix};
use crate::store::{Store, StoreError};

/// What is listed: the rows whose keys begin with a prefix, as they were when a journal had been
/// taken over up to a position.
pub(super) struct Source<'a> {
    pub(super) store: &'a Store,
    /// See [`crate::store::status::list_prefix`].
    pub(super) prefix: Vec<u8>,
    /// thisUpdate of the CRL of this scope before: what had expired by then is not listed again.
    pub(super) before: Option<UnixTime>,
}

/// A TBSCertList that was written.
pub(super) struct Listed {
    pub(super) paper: SealedPaper,
    pub(super) written: Written,
    /// Keys of rows that no CRL lists any more.
    pub(super) over: Vec<Vec<u8>>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error(transparent)]
    Crl(#[from] CrlError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Source<'_> {
    /// Every certificate that is revoked. Blocks.
    pub(super) fn complete(&self, draft: &Draft<'_>) -> Result<Listed, ListError> {
        let mut writer = Writer::begin(draft, BufWriter::with_capacity(BUFFER, paper()?))?;
        let mut over = Vec::new();
        let end = after_prefix(&self.prefix);
        let mut from = Bound::Included(self.prefix.clone());
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end.as_slice()));
            let rows = self.store.scan(&REVOKED, range, PAGE, false)?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            let more = rows.len() == PAGE;
            for (key, row) in rows {
                if !crl::stays_listed(row.value.not_after, self.before) {
                    over.push(key);
                } else {
                    writer.entry(&entry(self.serial(&key)?, &row.value, draft.this_update))?;
                }
            }
            if !more {
                break;
            }
        }
        finish(writer, over)
    }

    /// What changed after `mark`. Blocks.
    pub(super) fn delta(&self, draft: &Draft<'_>, (journal, mark): (&str, u64)) -> Result<Listed, ListError> {
        // The last change of each certificate counts, and a CRL is in the order of serial numbers.
        let mut changed = BTreeMap::new();
        for (serial, change) in self.changes(journal, mark)? {
            changed.insert(serial, change.listed);
        }
        let mut writer = Writer::begin(draft, BufWriter::with_capacity(BUFFER, paper()?))?;
        for (serial, listed) in changed {
            let row = self.store.get(&REVOKED, [self.prefix.as_slice(), serial.as_bytes()].concat())?;
            match row {
                Some(row) => writer.entry(&entry(serial, &row.value, draft.this_update))?,
                // A release, or a certificate that has expired since.
                None if listed => {}
                None => writer.entry(&Entry {
                    serial,
                    at: draft.this_update,
                    mark: Mark::Removed,
                    invalidity_date: None,
                })?,
            }
        }
        finish(writer, Vec::new())
    }

    /// The changes that the journal holds after `mark`, in its order.
    fn changes(&self, journal: &str, mark: u64) -> Result<Vec<(Serial, StatusChange)>, ListError> {
        let end = after_prefix(&self.prefix);
        let mut from = Bound::Included([&self.prefix, mark.saturating_add(1).to_be_bytes().as_slice()].concat());
        let mut changes = Vec::new();
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end.as_slice()));
            let rows = self.store.scan(&REVOKED_CHANGES, range, PAGE, false)?;
            let Some((last, _)) = rows.last() else { return Ok(changes) };
            from = Bound::Excluded(last.clone());
            for (key, row) in rows {
                if row.value.journal == journal {
                    let serial = key.get(self.prefix.len() + 8..).unwrap_or_default();
                    changes.push((read(serial)?, row.value));
                }
            }
        }
    }

    /// When the first change after `mark` was made, if there is one.
    pub(super) fn changed_since(&self, journal: &str, mark: u64) -> Result<Option<UnixTime>, StoreError> {
        let from = [&self.prefix, mark.saturating_add(1).to_be_bytes().as_slice()].concat();
        let end = after_prefix(&self.prefix);
        let range = (Bound::Included(from.as_slice()), Bound::Excluded(end.as_slice()));
        let rows = self.store.scan(&REVOKED_CHANGES, range, FEW, false)?;
        Ok(rows.into_iter().map(|(_, row)| row.value).find(|change| change.journal == journal).map(|change| change.at))
    }

    /// Keys of at most [`PAGE`] changes that no delta needs any more: those up to `mark`, and those
    /// of other journals.
    pub(super) fn old_changes(&self, journal: &str, mark: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let end = after_prefix(&self.prefix);
        let range = (Bound::Included(self.prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let rows = self.store.scan(&REVOKED_CHANGES, range, PAGE, false)?;
        let position = |key: &[u8]| {
            let octets = key.get(self.prefix.len()..).and_then(<[u8]>::first_chunk);
            octets.map_or(0, |octets| u64::from_be_bytes(*octets))
        };
        let old = rows.into_iter().filter(|(key, row)| row.value.journal != journal || position(key) <= mark);
        Ok(old.map(|(key, _)| key).collect())
    }

    fn serial(&self, key: &[u8]) -> Result<Serial, ListError> {
        read(key.get(self.prefix.len()..).unwrap_or_default())
    }
}

fn read(serial: &[u8]) -> Result<Serial, ListError> {
    Serial::from_slice(serial).map_err(|error| {
        ListError::Store(StoreError::Invalid { tree: REVOKED.tree.0, why: format!("a key without a serial: {error}") })
    })
}

fn entry(serial: Serial, row: &RevokedEntry, this_update: UnixTime) -> Entry {
    // A reason that this version does not know cannot be journalled either.
    let reason = row.reason.and_then(|code| Reason::try_from(code).ok()).unwrap_or(Reason::Unspecified);
    // Later than the list is what was revoked while it was written, or before a clock was set back:
    // it is revoked all the same.
    let at = row.at.min(this_update);
    Entry { serial, at, mark: Mark::Revoked(reason), invalidity_date: row.invalidity }
}

fn paper() -> Result<Paper, ListError> {
    Paper::new().map_err(|error| ListError::Crl(error.into()))
}

fn finish(writer: Writer<BufWriter<Paper>>, over: Vec<Vec<u8>>) -> Result<Listed, ListError> {
    let (out, written) = writer.finish()?;
    let paper = out.into_inner().map_err(|error| CrlError::Io(error.into_error()))?;
    let paper = paper.seal().map_err(CrlError::Io)?;
    Ok(Listed { paper, written, over })
}

/// Rows read at a time.
const PAGE: usize = 4096;

/// Rows looked at for the first change: more than other journals leave behind between two CRLs.
const FEW: usize = 64;

/// Octets written at a time.
const BUFFER: usize = 256 * 1024;
