//! Answers that are wanted now: those that come together are signed in one batch, with one entry in the
//! journal.

use std::sync::Arc;

use hsm::wire::{Actor, OcspRequest};
use tokio::sync::{mpsc, oneshot};

use super::AnswerError;
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
    match sign(office, &key, responses).await {
        Ok(signatures) => {
            for (caller, signature) in callers.into_iter().zip(signatures) {
                let _ = caller.send(Ok(signature));
            }
        }
        Err(error) => {
            for caller in callers {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

/// Has a batch signed, and notes how the token is.
pub(super) async fn sign(office: &Office, key: &str, responses: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, AnswerError> {
    let actor = Actor { who: "signetd".to_owned(), request_id: String::new() };
    match office.ca.sign_ocsp(OcspRequest { key: key.to_owned(), responses, actor }).await {
        Ok(signatures) => {
            office.signed().await;
            Ok(signatures)
        }
        Err(error) => {
            office.failed(&error);
            Err(error.into())
        }
    }
}

/// Requests that may wait. At ten signatures a second the last of them waits for half a minute.
const LONGEST: usize = 256;

/// Answers in one batch.
const BATCH: usize = 32;

/// Batches that are signed at the same time.
const PARALLEL: usize = 4;
