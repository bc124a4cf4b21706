//! Signing ahead of time: what is revoked or was asked for lately is signed again before its answer runs
//! out, in turns that leave the token to others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm::wire::MAX_OCSP;
use policy::authority::AuthorityNumber;
use policy::effects::UnixTime;
use policy::ocsp::{CertId, HashAlgorithm};
use policy::serial::Serial;
use tokio::task::JoinSet;

use super::aside::Pile;
use super::certificate::ResponderCertificate;
use super::plan::{Rate, Turn};
use super::row::{self, Row, commit};
use super::snapshot::Snapshot;
use super::{AnswerError, Known, Responder, queue};
use crate::store::status::{Kept, OCSP_DUE, due_key};
use crate::store::{Change, CommitError, StoreError};

/// How far signing ahead has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) rate: Rate,
    /// For how many seconds the oldest answer has been due.
    pub(super) lag: u64,
    /// Answers signed ahead since the start.
    pub(super) signed: u64,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) pile: Pile,
}

/// What came of signing.
pub(super) struct Signed {
    took: Duration,
    /// Signatures.
    pub(super) count: u64,
    /// Rows that had changed meanwhile: their answers were not kept.
    pub(super) lost: u64,
}

/// One row that is signed again.
pub(super) struct Job {
    pub(super) key: Vec<u8>,
    pub(super) row: Row,
    pub(super) was_due: Option<UnixTime>,
    pub(super) drafts: Vec<Draft>,
}

/// One answer to be signed.
pub(super) struct Draft {
    hash: HashAlgorithm,
    data: Vec<u8>,
    this_update: UnixTime,
    next_update: UnixTime,
}

impl Responder {
    /// Keeps answers and the responder's certificate fresh, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let pause = self.round().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Looks at what is due before its time: something was revoked, or the strongbox was unsealed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn round(&self) -> Duration {
        let office = &self.office;
        for (what, outcome) in [
            ("OCSP responder's certificate", self.renew_if_due().await),
            ("OCSP requests", self.write_asked().await.map_err(AnswerError::from)),
        ] {
            match outcome {
                Ok(()) => office.no_trouble(what),
                Err(error) => office.trouble(what, &error.to_string()),
            }
        }
        match self.turn().await {
            Ok(pause) => {
                office.no_trouble("OCSP answers");
                pause
            }
            Err(error) => {
                office.trouble("OCSP answers", &error.to_string());
                RETRY
            }
        }
    }

    /// One turn: what is due, or else what a snapshot wants. Says when the next one is.
    async fn turn(&self) -> Result<Duration, AnswerError> {
        let now = self.office.clock.now();
        let certificate = self.certificate().await?;
        let sessions = self.office.means().await?.sessions;
        let (rate, lag) = {
            let progress = self.progress();
            (progress.rate, progress.lag)
        };
        let turn = rate.turn(self.config.load, lag, self.config.lifetime.as_secs(), sessions, MAX_OCSP);
        let due = self.due_before(now, turn.count())?;
        self.progress().lag = due.first().map_or(0, |(at, _)| now.0.saturating_sub(at.0));
        let full = due.len() == turn.count();
        let mut jobs = Vec::with_capacity(due.len());
        for (at, key) in due {
            match self.job(at, &key, now, &certificate).await {
                Ok(job) => jobs.extend(job),
                Err(AnswerError::Unfit(why)) => self.postpone(at, &key, &why, now).await?,
                Err(error) => return Err(error),
            }
        }
        if !jobs.is_empty() || full {
            let done = self.sign_all(jobs, turn, &certificate, now).await?;
            return Ok(if full { turn.pause(done.took) } else { IDLE });
        }
        // A snapshot is for an outage that is near: it takes all that the token has.
        let turn = rate.turn(100, 0, u64::MAX, sessions, MAX_OCSP);
        let Some((snapshot, jobs)) = self.snapshot_jobs(turn.count(), now, &certificate)? else { return Ok(IDLE) };
        let done = self.sign_all(jobs, turn, &certificate, now).await?;
        self.advance(snapshot, &done);
        Ok(Duration::ZERO)
    }

    /// The rows that are due, the longest ones first.
    fn due_before(&self, now: UnixTime, most: usize) -> Result<Vec<(UnixTime, Vec<u8>)>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let end = due_key(now.plus(1), &[]);
        let split = |key: &[u8]| {
            let (at, key) = key.split_first_chunk::<8>()?;
            Some((UnixTime(u64::from_be_bytes(*at)), key.to_vec()))
        };
        let (mut due, mut after) = (Vec::new(), None::<Vec<u8>>);
        for _ in 0..PAGES {
            let from = after.as_deref().map_or(Unbounded, Excluded);
            let rows = self.office.store.scan(&OCSP_DUE, (from, Excluded(end.as_slice())), most, false)?;
            let more = rows.len() == most;
            due.extend(rows.iter().filter_map(|(key, _)| split(key)).filter(|(_, key)| self.concerns(key)));
            after = rows.into_iter().next_back().map(|(key, _)| key);
            if !more || due.len() >= most {
                break;
            }
        }
        due.truncate(most);
        Ok(due)
    }

    /// Whether a row is this responder's business: its authority's, or no authority's at all.
    fn concerns(&self, key: &[u8]) -> bool {
        let label = key.split(|octet| *octet == 0).next().and_then(|label| std::str::from_utf8(label).ok());
        label.and_then(AuthorityNumber::of_label) == AuthorityNumber::of_label(&self.office.issuer_key)
    }

    /// What is to be signed for one row that is due; nothing if nobody needs it any more.
    async fn job(
        &self,
        at: UnixTime,
        key: &[u8],
        now: UnixTime,
        certificate: &ResponderCertificate,
    ) -> Result<Option<Job>, AnswerError> {
        let store = &self.office.store;
        let mut row = row::read(store, key)?;
        let mut change = Change::new();
        if row.value.due != Some(at) {
            // The index is behind: the row is due at another time, or not there.
            change.delete(&OCSP_DUE, due_key(at, key));
            return commit(store.commit(change).await).map(|()| None);
        }
        let Some(serial) = self.serial(key) else {
            return Err(AnswerError::Unfit("its row is none of this issuer's".to_owned()));
        };
        let known = self.known(serial)?;
        let wanted = match &known {
            Known::Never => false,
            Known::Issued { not_after, .. } if *not_after < now => false,
            Known::Issued { revoked: Some(_), .. } => true,
            Known::Issued { revoked: None, .. } => now <= row.value.asked.plus(self.config.asked.as_secs()),
        };
        if wanted {
            return self.drafts(key.to_vec(), row, serial, &known, now, certificate, None).map(Some);
        }
        self.take_back(key);
        match known {
            // A row of a certificate that is revoked stays: without it, an answer that was signed before
            // the revocation could still be kept.
            Known::Issued { revoked: Some(_), .. } => {
                (row.value.due, row.value.sha1, row.value.sha256) = (None, None, None);
                row.stage(&mut change, key, Some(at));
            }
            _ => {
                change.delete(&OCSP_DUE, due_key(at, key));
                row.remove(&mut change, key);
            }
        }
        commit(store.commit(change).await).map(|()| None)
    }

    /// The answers of a row, to be signed: those that it has, or the most common one.
    #[expect(clippy::too_many_arguments, reason = "what was read goes where it is used")]
    pub(super) fn drafts(
        &self,
        key: Vec<u8>,
        row: Row,
        serial: Serial,
        known: &Known,
        now: UnixTime,
        certificate: &ResponderCertificate,
        until: Option<UnixTime>,
    ) -> Result<Job, AnswerError> {
        let hashes = match (&row.value.sha1, &row.value.sha256) {
            (Some(_), Some(_)) => &[HashAlgorithm::Sha1, HashAlgorithm::Sha256][..],
            (None, Some(_)) => &[HashAlgorithm::Sha256],
            (Some(_) | None, None) => &[HashAlgorithm::Sha1],
        };
        let drafts = hashes
            .iter()
            .map(|hash| {
                let id = CertId::new(*hash, &self.office.issuer.now(), serial);
                let (data, this_update, next_update) = self.draft(&[(id, known)], None, now, certificate, until)?;
                Ok(Draft { hash: *hash, data, this_update, next_update })
            })
            .collect::<Result<_, AnswerError>>()?;
        Ok(Job { was_due: row.value.due, key, row, drafts })
    }

    /// Signs jobs in the batches of a turn, and keeps what comes of it. What cannot be signed is put
    /// aside.
    async fn sign_all(
        &self,
        jobs: Vec<Job>,
        turn: Turn,
        certificate: &ResponderCertificate,
        now: UnixTime,
    ) -> Result<Signed, AnswerError> {
        let begun = Instant::now();
        let mut batches: Vec<Vec<Job>> = Vec::new();
        let mut size = 0;
        for job in jobs {
            if size == 0 || size + job.drafts.len() > turn.size.max(2) {
                batches.push(Vec::new());
                size = 0;
            }
            size += job.drafts.len();
            batches.last_mut().expect("one was just pushed").push(job);
        }
        let mut signing = JoinSet::new();
        for batch in batches {
            let (office, key) = (Arc::clone(&self.office), Arc::clone(&certificate.key));
            signing.spawn(async move {
                let drafts = batch.iter().flat_map(|job| &job.drafts);
                let data: Vec<_> = drafts.map(|draft| draft.data.clone()).collect();
                let outcomes = queue::sign(&office, &key, &data).await;
                (batch, outcomes)
            });
        }
        let mut count = 0;
        let mut keeping = JoinSet::new();
        let mut failed = None;
        while let Some(signed) = signing.join_next().await {
            let Ok((batch, outcomes)) = signed else { continue };
            let mut outcomes = outcomes.into_iter();
            for Job { key, mut row, was_due, drafts } in batch {
                let mut wrong = None;
                for (Draft { hash, data, this_update, next_update }, outcome) in drafts.into_iter().zip(&mut outcomes) {
                    match outcome {
                        Ok(signature) => {
                            count += 1;
                            let by = certificate.key.to_string();
                            row.put(hash, Kept { data, signature, by, this_update, next_update });
                        }
                        Err(error) => wrong = Some(error),
                    }
                }
                row.value.due = match wrong {
                    None => {
                        self.take_back(&key);
                        self.due(&row, &key).map(|due| due.max(now.plus(1)))
                    }
                    Some(AnswerError::Unfit(why)) => Some(self.set_aside(&key, &why, now)),
                    Some(error) => {
                        failed = Some(error);
                        continue;
                    }
                };
                let mut change = Change::new();
                row.stage(&mut change, &key, was_due);
                let store = self.office.store.clone();
                keeping.spawn(async move { store.commit(change).await });
            }
        }
        let took = begun.elapsed();
        if count > 0 {
            let mut progress = self.progress();
            progress.rate.saw(count, took);
            progress.signed += count as u64;
        }
        let mut lost = 0;
        while let Some(kept) = keeping.join_next().await {
            match kept {
                Ok(Err(CommitError::Store(error))) => failed = Some(error.into()),
                // The status has changed, or somebody else was faster.
                Ok(Err(CommitError::Conflict(_))) => lost += 1,
                Ok(Ok(())) | Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Signed { took, count: count as u64, lost }),
        }
    }

    /// The serial number in a row's key, if it is a row of this issuer.
    pub(super) fn serial(&self, key: &[u8]) -> Option<Serial> {
        Serial::from_slice(key.strip_prefix(self.office.issuer_key.as_bytes())?.strip_prefix(&[0])?).ok()
    }
}

/// Pages of rows looked at in one turn, most of which may be other issuers'.
const PAGES: usize = 64;

/// Between two looks when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// After a failure.
const RETRY: Duration = Duration::from_secs(2);
