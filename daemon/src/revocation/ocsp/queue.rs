//! Answers that are wanted now: those that come together are signed in one batch, with one entry in the
//! journal.

use std::ops::Range;
use std::sync::Arc;

use hsm::wire::{Actor, MAX_FRAME, MAX_OCSP, OcspRequest, Refusal};
use tokio::sync::{mpsc, oneshot};

use super::AnswerError;
use crate::issuance::ca::{CaError, ClientError};
use crate::revocation::office::Office;

/// Where requests wait for a batch.
pub(super) struct Queue(mpsc::Sender<Wanted>);

struct Wanted {
    key: Arc<str>,
    data: Vec<u8>,
    done: oneshot::Sender<Result<Vec<u8>, AnswerError>>,
}

impl Queue {
    /// Starts the workers, if there is a runtime for them.
    pub(super) fn start(office: Arc<Office>) -> Self {
        let (sender, waiting) = mpsc::channel(LONGEST);
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(work(office, waiting));
        }
        Self(sender)
    }

    /// Has ResponseData signed. When too much waits, the answer is to come later: a flood of requests
    /// must not take the token away from certificates.
    pub(super) async fn sign(&self, key: &Arc<str>, data: Vec<u8>) -> Result<Vec<u8>, AnswerError> {
        let (done, answer) = oneshot::channel();
        let wanted = Wanted { key: Arc::clone(key), data, done };
        self.0.try_send(wanted).map_err(|_| AnswerError::Later("too many OCSP answers are waiting".to_owned()))?;
        answer.await.unwrap_or_else(|_| Err(AnswerError::Later("the OCSP responder is stopping".to_owned())))
    }
}

async fn work(office: Arc<Office>, mut waiting: mpsc::Receiver<Wanted>) {
    let turns = Arc::new(tokio::sync::Semaphore::new(PARALLEL));
    loop {
        // What comes while all turns are taken makes the next batch larger.
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        let mut batch = Vec::new();
        if waiting.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let office = Arc::clone(&office);
        tokio::spawn(async move {
            serve(&office, batch).await;
            drop(turn);
        });
    }
}

async fn serve(office: &Office, batch: Vec<Wanted>) {
    // The key is the same for all but those that were asked for before a change of configuration.
    let Some(key) = batch.first().map(|wanted| Arc::clone(&wanted.key)) else { return };
    let (batch, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(|wanted| wanted.key == key);
    for other in others {
        let _ = other.done.send(Err(AnswerError::Later("the OCSP key has changed".to_owned())));
    }
    let (responses, callers): (Vec<_>, Vec<_>) = batch.into_iter().map(|wanted| (wanted.data, wanted.done)).unzip();
    for (caller, outcome) in callers.into_iter().zip(sign(office, &key, &responses).await) {
        let _ = caller.send(outcome);
    }
}

/// Has answers signed in one batch, and notes how the token is; an outcome for each. The signer refuses a
/// batch for one answer that it does not take: that one is found by halving, and holds up none of the
/// others.
pub(super) async fn sign(office: &Office, key: &str, responses: &[Vec<u8>]) -> Vec<Result<Vec<u8>, AnswerError>> {
    let mut outcomes = vec![Err(AnswerError::Later("the signer was not asked".to_owned())); responses.len()];
    let mut parts = parts(responses);
    let mut refused = 0;
    while let Some(part) = parts.pop() {
        let actor = Actor { who: "signetd".to_owned(), request_id: String::new() };
        let request = OcspRequest { key: key.to_owned(), responses: responses[part.clone()].to_vec(), actor };
        match office.ca.sign_ocsp(request).await {
            Ok(signatures) => {
                office.signed().await;
                for (outcome, signature) in outcomes[part].iter_mut().zip(signatures) {
                    *outcome = Ok(signature);
                }
            }
            Err(error @ CaError::Signer(ClientError::Refused(Refusal::Policy(_)))) if part.len() == 1 => {
                office.failed(&error);
                let why = error.to_string();
                outcomes[part.start] = Err(AnswerError::Unfit(why));
            }
            Err(CaError::Signer(ClientError::Refused(Refusal::Policy(_)))) if refused < REFUSALS => {
                refused += 1;
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
            }
            Err(error) => {
                office.failed(&error);
                let error = AnswerError::from(error);
                for part in parts.drain(..).chain([part]) {
                    outcomes[part].fill(Err(error.clone()));
                }
            }
        }
    }
    outcomes
}

/// Batches that fit a request each.
fn parts(responses: &[Vec<u8>]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut octets = 0;
    for (at, response) in responses.iter().enumerate() {
        octets += response.len();
        match parts.last_mut().filter(|part| octets <= MOST_OCTETS && part.len() < MAX_OCSP) {
            Some(part) => part.end = at + 1,
            None => {
                parts.push(at..at + 1);
                octets = response.len();
            }
        }
    }
    parts
}

/// Requests that may wait. At ten signatures a second the last of them waits for half a minute.
const LONGEST: usize = 256;

/// Answers in one batch.
const BATCH: usize = 32;

/// Refusals after which a batch is not halved any more: when all of it is refused, the fault lies elsewhere.
const REFUSALS: u32 = 64;

/// Octets of answers in one request.
const MOST_OCTETS: usize = MAX_FRAME / 2;

/// Batches that are signed at the same time.
const PARALLEL: usize = 4;
