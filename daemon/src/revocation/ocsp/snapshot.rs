//! A snapshot for a planned outage: an answer for every certificate that has not expired, good until the
//! token is back.

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::serial::Serial;

use super::certificate::ResponderCertificate;
use super::refresh::{Job, Signed};
use super::row;
use super::{AnswerError, Known, Responder};
use crate::store::status::IMPORTED;
use crate::store::tables::CERTIFICATES_BY_EXPIRY;

/// How far a snapshot has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Every answer is to be good until then.
    pub until: UnixTime,
    /// When it was asked for.
    pub begun: UnixTime,
    /// When it was complete, if it is.
    pub done: Option<UnixTime>,
    /// Certificates looked at.
    pub seen: u64,
    /// Answers signed for it.
    pub signed: u64,
    cursor: Cursor,
}

/// What is looked at next: all that has a key after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cursor {
    Certificates(Vec<u8>),
    Imported(Vec<u8>),
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The signer does not sign that far.
    #[error(
        "answers can be signed for {0} s from now at most: ask for an earlier time, or allow more in the signer's configuration (`[revocation] ocsp`)"
    )]
    Far(u64),
    /// There is nothing to sign with.
    #[error(transparent)]
    Later(#[from] AnswerError),
    /// The time has come already.
    #[error("the time until which answers are to be good is over")]
    Past,
}

impl Responder {
    /// Begins a snapshot, in place of one that goes on.
    pub async fn snapshot(&self, until: UnixTime) -> Result<Snapshot, SnapshotError> {
        let now = self.office.clock.now();
        if until <= now {
            return Err(SnapshotError::Past);
        }
        let certificate = self.certificate().await?;
        let most = now.plus(certificate.longest).min(certificate.not_after);
        if until > most {
            return Err(SnapshotError::Far(most.0.saturating_sub(now.0)));
        }
        let cursor = Cursor::Certificates(now.0.to_be_bytes().to_vec());
        let snapshot = Snapshot { until, begun: now, done: None, seen: 0, signed: 0, cursor };
        self.progress().snapshot = Some(snapshot.clone());
        tracing::info!(until = until.0, "a snapshot of OCSP answers was begun");
        self.wake();
        Ok(snapshot)
    }

    /// What the snapshot wants signed next, and how far it has come when that is done; `None` when there
    /// is none, or it is complete.
    pub(super) fn snapshot_jobs(
        &self,
        most: usize,
        now: UnixTime,
        certificate: &ResponderCertificate,
    ) -> Result<Option<(Snapshot, Vec<Job>)>, AnswerError> {
        let Some(mut snapshot) = self.progress().snapshot.clone() else { return Ok(None) };
        if snapshot.done.is_some() {
            return Ok(None);
        }
        let serials = self.next_serials(&mut snapshot.cursor, most)?;
        snapshot.seen += serials.len() as u64;
        if serials.is_empty() {
            match snapshot.cursor {
                Cursor::Certificates(_) => snapshot.cursor = Cursor::Imported(Vec::new()),
                Cursor::Imported(_) => snapshot.done = Some(now),
            }
        }
        let mut jobs = Vec::new();
        for serial in serials {
            match self.snapshot_job(serial, snapshot.until, now, certificate) {
                Ok(job) => jobs.extend(job),
                Err(AnswerError::Unfit(why)) => drop(self.set_aside(&self.key(serial), &why, now)),
                Err(error) => return Err(error),
            }
        }
        Ok(Some((snapshot, jobs)))
    }

    /// What is to be signed for one certificate; nothing if it has expired, or has an answer that is good
    /// for long enough.
    fn snapshot_job(
        &self,
        serial: Serial,
        until: UnixTime,
        now: UnixTime,
        certificate: &ResponderCertificate,
    ) -> Result<Option<Job>, AnswerError> {
        let key = self.key(serial);
        let row = row::read(&self.office.store, &key)?;
        let known = self.known(serial)?;
        let kept = [&row.value.sha1, &row.value.sha256, &row.value.sha512];
        let mut answers = kept.iter().filter_map(|kept| kept.as_ref()).peekable();
        let have = answers.peek().is_some() && answers.all(|kept| kept.next_update >= until);
        match &known {
            Known::Issued { not_after, .. } if *not_after >= now && !have => {
                self.drafts(key, row, serial, &known, now, certificate, Some(until.max(now.plus(1)))).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The snapshot has come so far, unless another one was begun meanwhile, or some of what was signed for
    /// it could not be kept: then it looks at the same certificates again.
    pub(super) fn advance(&self, snapshot: Snapshot, done: &Signed) {
        let mut progress = self.progress();
        let Some(current) = &mut progress.snapshot else { return };
        if (current.begun, current.until) != (snapshot.begun, snapshot.until) {
            return;
        }
        let signed = current.signed + done.count.saturating_sub(done.lost);
        if done.lost == 0 {
            if let Some(at) = snapshot.done {
                let (until, seen) = (snapshot.until.0, snapshot.seen);
                let seconds = at.0.saturating_sub(snapshot.begun.0);
                tracing::info!(until, seen, signed, seconds, "a snapshot of OCSP answers is complete");
            }
            *current = snapshot;
        }
        current.signed = signed;
    }

    fn next_serials(&self, cursor: &mut Cursor, most: usize) -> Result<Vec<Serial>, AnswerError> {
        let store = &self.office.store;
        let keys: Vec<Vec<u8>> = match cursor {
            Cursor::Certificates(after) => {
                let range = (Bound::Excluded(after.as_slice()), Bound::Unbounded);
                store.scan(&CERTIFICATES_BY_EXPIRY, range, most, false)?.into_iter().map(|(key, _)| key).collect()
            }
            Cursor::Imported(after) => {
                let from = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after.as_slice()) };
                store.scan(&IMPORTED, (from, Bound::Unbounded), most, false)?.into_iter().map(|(key, _)| key).collect()
            }
        };
        let serials = keys.iter().filter_map(|key| Serial::from_slice(key.get(key.len().checked_sub(20)?..)?).ok());
        let serials = serials.collect();
        if let (Cursor::Certificates(after) | Cursor::Imported(after), Some(last)) = (cursor, keys.last()) {
            *after = last.clone();
        }
        Ok(serials)
    }
}
