//! The OCSP responder (RFC 6960, RFC 5019): an answer is signed once, kept, and given until it is
//! refreshed or the status changes.
//!
//! ```text
//! request ─► cache (half a second) ─► the row in the store ─► signed on demand, in batches, and kept
//! ```
//!
//! What is kept never contradicts the status: a change of status writes the row anew in its own commit,
//! and whoever keeps an answer expects the version of the row that he read before he read the status.

mod aside;
mod cache;
mod certificate;
mod plan;
mod queue;
mod refresh;
mod row;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::body::Bytes;
use policy::crl::Reason;
use policy::effects::UnixTime;
use policy::ocsp::{
    self, CertId, ErrorStatus, HashAlgorithm, OcspError, Request, ResponseData, SingleResponse, Status,
};
use policy::serial::Serial;
use tokio::sync::Notify;

use super::office::Office;
use crate::config::{self, NeverIssued};
use crate::issuance::ca::CaError;
use crate::store::status::{IMPORTED, Kept};
use crate::store::tables::{CERTIFICATES, Revocation};
use crate::store::{CommitError, StoreError};
pub use aside::Aside;
use cache::Cache;
use certificate::ResponderCertificate;
use queue::Queue;
use refresh::Progress;
pub use snapshot::{Snapshot, SnapshotError};

/// Answers for one issuer.
pub struct Responder {
    office: Arc<Office>,
    config: config::Ocsp,
    cache: Cache,
    queue: Queue,
    certificate: Mutex<Option<Arc<ResponderCertificate>>>,
    /// Keys of rows that were asked for since the last time that was noted.
    asked: Mutex<BTreeSet<Vec<u8>>>,
    progress: Mutex<Progress>,
    wake: Notify,
}

/// An answer on its way to a relying party.
#[derive(Clone, Debug)]
pub struct Answer {
    /// OCSPResponse, DER.
    pub der: Bytes,
    /// Its thisUpdate and nextUpdate, if caches may keep it.
    pub fresh: Option<(UnixTime, UnixTime)>,
}

/// How signing ahead goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Signatures that the token was seen to make in a second; 0 if none was seen.
    pub per_second: f64,
    /// For how many seconds the oldest answer has been due.
    pub lag: u64,
    /// Answers signed ahead since the start.
    pub signed: u64,
    /// Answers that cannot be signed, and wait to be tried again.
    pub aside: Vec<Aside>,
    /// How often an answer could not be signed, since the start.
    pub refused: u64,
    /// The snapshot, if one was asked for.
    pub snapshot: Option<Snapshot>,
    /// Label of the key that signs, and the last second of its certificate.
    pub responder: Option<(String, UnixTime)>,
}

/// Why an answer could not be signed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not now; the sentence is for the log.
    #[error("{0}")]
    Later(String),
    /// The store, or a bug.
    #[error("{0}")]
    Internal(String),
    /// This answer breaks a rule, or its record is damaged; others can be signed.
    #[error("{0}")]
    Unfit(String),
}

/// What is known of a serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It was issued, by us or by the system before.
    Issued {
        /// Last second of its validity.
        not_after: UnixTime,
        /// Set if it is revoked.
        revoked: Option<Revocation>,
    },
    /// Nobody knows it.
    Never,
}

impl Responder {
    /// A responder for the office's issuer. Nothing is signed before it is asked, or runs.
    pub fn new(office: Arc<Office>, config: config::Ocsp) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::start(Arc::clone(&office)),
            cache: Cache::new(config.cache),
            certificate: Mutex::default(),
            asked: Mutex::default(),
            progress: Mutex::default(),
            wake: Notify::new(),
            office,
            config,
        })
    }

    /// Answers a request, DER. It always has an answer, if only one that says why not.
    pub async fn answer(&self, request: &[u8]) -> Answer {
        self.answer_as(request, Request::from_der).await
    }

    /// Answers a request as it stands in a path: percent-encoded base64.
    pub async fn answer_path(&self, text: &str) -> Answer {
        // A request in DER begins with 0x30, which is `0`; in base64 it begins with `M`, or is refused.
        self.answer_as(text.as_bytes(), from_path).await
    }

    async fn answer_as(&self, request: &[u8], parse: fn(&[u8]) -> Result<Request, OcspError>) -> Answer {
        if let Some(answer) = self.cache.get(request) {
            return answer;
        }
        let read = Instant::now();
        let parsed = match parse(request) {
            Ok(parsed) => parsed,
            Err(_) => return refusal(ErrorStatus::MalformedRequest),
        };
        match self.respond(&parsed).await {
            Ok(answer) => {
                if parsed.nonce.is_none() && answer.fresh.is_some() {
                    self.cache.put(request, &answer, read);
                }
                answer
            }
            Err(AnswerError::Later(why)) => {
                tracing::debug!(why, "an OCSP request is answered with tryLater");
                refusal(ErrorStatus::TryLater)
            }
            Err(AnswerError::Internal(why) | AnswerError::Unfit(why)) => {
                tracing::error!(why, "an OCSP request could not be answered");
                refusal(ErrorStatus::InternalError)
            }
        }
    }

    async fn respond(&self, request: &Request) -> Result<Answer, AnswerError> {
        let ours = |id: &CertId| id.is_of(&self.office.issuer.now());
        // Of another CA's certificates nothing can be said, and an answer speaks of all that were asked for.
        if !request.ids.iter().all(ours) {
            return Ok(refusal(ErrorStatus::Unauthorized));
        }
        let nonce = request.nonce.clone().filter(|_| self.config.nonce == config::Nonce::Answer);
        let single = match &request.ids[..] {
            [id] => id.hash().zip(id.serial()),
            _ => None,
        };
        match (nonce, single) {
            (None, Some((hash, serial))) => self.kept(hash, serial).await,
            (None, None) => self.sign_now(&request.ids, None).await,
            (Some(nonce), single) => match (self.sign_now(&request.ids, Some(nonce)).await, single) {
                // Without a token the answer without its nonce is better than none (RFC 9654 section 2.1
                // leaves the client to judge).
                (Err(AnswerError::Later(_)), Some((hash, serial))) => self.kept(hash, serial).await,
                (outcome, _) => outcome,
            },
        }
    }

    /// The answer that is kept, or one that is signed now and kept.
    async fn kept(&self, hash: HashAlgorithm, serial: Serial) -> Result<Answer, AnswerError> {
        let certificate = self.certificate().await?;
        let key = self.key(serial);
        let now = self.office.clock.now();
        let row = row::read(&self.office.store, &key)?;
        if let Some(kept) = row.kept(hash)
            && now < kept.next_update
            && kept.this_update <= now
            && *kept.by == *certificate.key
        {
            self.note_asked(&key, &row, now);
            return Ok(Answer {
                der: certificate.assemble(&kept.data, &kept.signature)?.into(),
                fresh: Some((kept.this_update, kept.next_update)),
            });
        }
        // The row was read first: if the status changes after that, the row does too.
        let known = self.known(serial)?;
        let kept = self.sign(hash, serial, &known, now, &certificate).await.inspect_err(|error| {
            if let AnswerError::Unfit(why) = error {
                self.set_aside(&key, why, now);
            }
        })?;
        let answer = Answer {
            der: certificate.assemble(&kept.data, &kept.signature)?.into(),
            fresh: Some((kept.this_update, kept.next_update)),
        };
        if matches!(known, Known::Issued { .. }) {
            match self.keep(&key, row, hash, kept, now).await {
                Ok(()) => {}
                // Somebody else has kept one, or the status has changed: then this one was right when it
                // was asked for, and the next request reads the new row.
                Err(CommitError::Conflict(_)) => return Ok(Answer { fresh: None, ..answer }),
                Err(CommitError::Store(error)) => {
                    tracing::warn!(%error, "an OCSP answer could not be kept");
                    return Ok(Answer { fresh: None, ..answer });
                }
            }
        }
        Ok(answer)
    }

    /// Signs one answer, in a batch with others.
    async fn sign(
        &self,
        hash: HashAlgorithm,
        serial: Serial,
        known: &Known,
        now: UnixTime,
        certificate: &ResponderCertificate,
    ) -> Result<Kept, AnswerError> {
        let id = CertId::new(hash, &self.office.issuer.now(), serial);
        let (data, this_update, next_update) = self.draft(&[(id, known)], None, now, certificate, None)?;
        let signature = self.queue.sign(&certificate.key, data.clone()).await?;
        Ok(Kept { data, signature, by: certificate.key.to_string(), this_update, next_update })
    }

    /// Signs an answer for this request alone: several certificates, or a nonce.
    async fn sign_now(&self, ids: &[CertId], nonce: Option<policy::ocsp::Nonce>) -> Result<Answer, AnswerError> {
        let certificate = self.certificate().await?;
        let now = self.office.clock.now();
        let mut known = Vec::with_capacity(ids.len());
        for id in ids {
            known.push(id.serial().map_or(Ok(Known::Never), |serial| self.known(serial))?);
        }
        let answers: Vec<_> = ids.iter().cloned().zip(&known).collect();
        let (data, this_update, next_update) = self.draft(&answers, nonce.clone(), now, &certificate, None)?;
        let signature = self.queue.sign(&certificate.key, data.clone()).await?;
        let fresh = nonce.is_none().then_some((this_update, next_update));
        Ok(Answer { der: certificate.assemble(&data, &signature)?.into(), fresh })
    }

    /// The ResponseData for some certificates, read by every lint; with its thisUpdate and nextUpdate.
    fn draft(
        &self,
        answers: &[(CertId, &Known)],
        nonce: Option<policy::ocsp::Nonce>,
        now: UnixTime,
        certificate: &ResponderCertificate,
        until: Option<UnixTime>,
    ) -> Result<(Vec<u8>, UnixTime, UnixTime), AnswerError> {
        let lifetime = self.config.lifetime.as_secs().min(certificate.longest);
        // Good for as long as its certificate at most.
        let next_update = until.unwrap_or(now.plus(lifetime)).min(certificate.not_after);
        let extended_revoke = self.config.never_issued == NeverIssued::Revoked;
        let responses = answers
            .iter()
            .map(|(id, known)| {
                let (status, archive_cutoff) = match known {
                    Known::Issued { not_after, revoked } => {
                        (status(revoked.as_ref(), now), self.cutoff(*not_after, now))
                    }
                    Known::Never if extended_revoke => (Status::NEVER_ISSUED, None),
                    Known::Never => (Status::Unknown, None),
                };
                SingleResponse { id: id.clone(), status, this_update: now, next_update, archive_cutoff }
            })
            .collect();
        let responder = certificate.responder;
        let data = ResponseData { responder, produced_at: now, responses, nonce, extended_revoke };
        let unfit = |error: OcspError| AnswerError::Unfit(error.to_string());
        let der = data.to_der().map_err(unfit)?;
        ocsp::check(&der, &self.office.issuer.now(), &certificate.public).map_err(unfit)?;
        Ok((der, now, next_update))
    }

    /// The date back to which the status of expired certificates is known (RFC 6960 section 4.4.4), in
    /// the answer for a certificate that has expired.
    fn cutoff(&self, not_after: UnixTime, now: UnixTime) -> Option<UnixTime> {
        let cutoff = now.minus(self.config.archive_cutoff?.as_secs());
        (not_after < now).then_some(cutoff)
    }

    /// What is known of a serial number of this issuer.
    fn known(&self, serial: Serial) -> Result<Known, StoreError> {
        let store = &self.office.store;
        if let Some(row) = store.get(&CERTIFICATES, serial.as_bytes())?
            && *row.value.issuer == *self.office.issuer_key
        {
            let not_after = policy::tbs::Certificate::from_der(&row.value.certificate)
                .map_or(UnixTime(u64::MAX), |certificate| certificate.validity().not_after());
            return Ok(Known::Issued { not_after, revoked: row.value.revoked });
        }
        match store.get(&IMPORTED, serial.as_bytes())? {
            Some(row) if *row.value.issuer == *self.office.issuer_key => {
                Ok(Known::Issued { not_after: row.value.not_after, revoked: row.value.revoked })
            }
            _ => Ok(Known::Never),
        }
    }

    fn key(&self, serial: Serial) -> Vec<u8> {
        crate::store::status::serial_key(&self.office.issuer_key, serial.as_bytes())
    }

    /// How signing ahead goes.
    pub fn report(&self) -> Report {
        let progress = self.progress();
        let certificate = self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report {
            per_second: progress.rate.per_second(),
            lag: progress.lag,
            signed: progress.signed,
            aside: progress.pile.asides(),
            refused: progress.pile.refused,
            snapshot: progress.snapshot.clone(),
            responder: certificate.map(|certificate| (certificate.key.to_string(), certificate.not_after)),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Each change of it is complete.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(revoked: Option<&Revocation>, now: UnixTime) -> Status {
    match revoked {
        None => Status::Good,
        Some(revoked) => {
            let reason = revoked.reason.and_then(|code| Reason::try_from(code).ok());
            // A client that says `unspecified` says no more than one that says nothing (RFC 5280
            // section 5.3.1).
            // Later than now is what was revoked before a clock was set back: it is revoked all the same.
            let at = revoked.at.min(now);
            Status::Revoked { at, reason: reason.filter(|reason| *reason != Reason::Unspecified) }
        }
    }
}

/// An OCSPRequest for one certificate, DER.
pub(super) fn request(id: &CertId) -> Vec<u8> {
    use der::asn1::Any;
    use der::{Encode, Tag};
    let sequence = |contents: Vec<u8>| -> Vec<u8> {
        Any::new(Tag::Sequence, contents).and_then(|any| any.to_der()).expect("a request is short")
    };
    sequence(sequence(sequence(sequence(id.as_der().to_vec()))))
}

/// What stands behind `/ocsp/` in a GET for one certificate.
pub(super) fn request_path(id: &CertId) -> String {
    let request = request(id);
    base64::engine::general_purpose::STANDARD.encode(request).replace('+', "%2B").replace('=', "%3D")
}

/// A request as it stands in a path: base64, of which `+`, `/` and `=` may be percent-encoded.
pub(super) fn from_path(text: &[u8]) -> Result<Request, OcspError> {
    const WHY: OcspError = OcspError::Der("the path is not base64");
    let mut base64 = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'%' {
            base64.push(*octet);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or(WHY)?;
        let digit = |octet: u8| char::from(octet).to_digit(16).ok_or(WHY);
        base64.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    let der = PATH.decode(&base64).map_err(|_| WHY)?;
    Request::from_der(&der)
}

/// Some clients leave the padding out.
const PATH: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn refusal(status: ErrorStatus) -> Answer {
    Answer { der: Bytes::copy_from_slice(&status.response()), fresh: None }
}

impl From<StoreError> for AnswerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } | StoreError::Invalid { .. } => Self::Unfit(error.to_string()),
            StoreError::Engine(_) | StoreError::Newer(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<OcspError> for AnswerError {
    fn from(error: OcspError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<CaError> for AnswerError {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Sealed | CaError::Signer(_) | CaError::Faulted(_) => Self::Later(error.to_string()),
            CaError::Store(_) | CaError::Commit(_) | CaError::Unknown(_) => Self::Internal(error.to_string()),
        }
    }
}
