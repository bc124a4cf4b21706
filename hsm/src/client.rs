//! `signetd`'s handle on one signer: connects, reconnects, and keeps many requests in flight.
//!
//! No async runtime: a reader thread completes each request by calling its closure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::{Refusal, Request, Response};

/// A handle on one signer. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    deadline: Duration,
}

/// One life of the connection. A request sent under an old epoch is not sent: whoever reconnects
/// must catch up with the journal first (J3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The signer cannot be reached.
    #[error("the signer at {path} cannot be reached: {why}")]
    Unreachable {
        /// Its socket.
        path: String,
        /// The system's words.
        why: String,
    },
    /// The connection ended, or the deadline passed (which ends the connection), while the request
    /// was in flight: whether it was done only the journal knows.
    #[error("the signer went away before it answered")]
    Lost,
    /// The epoch is over; nothing was sent.
    #[error("the signer was reconnected")]
    Epoch,
    /// The signer answered, and said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signer speaks another version of the frames.
    #[error("the signer speaks frame version {0}: install the same version of both programs")]
    Version(u8),
}

impl Client {
    /// A handle on the signer whose socket is at `path`. Connects at the first request. `deadline`
    /// is the longest wait for one answer.
    pub fn new(path: PathBuf, deadline: Duration) -> Self {
        Self { shared: Arc::new(Shared { path, deadline }) }
    }

    /// The current epoch; connects if need be.
    pub fn epoch(&self) -> Result<Epoch, ClientError> {
        let _ = (&self.shared.path, self.shared.deadline);
        unimplemented!()
    }

    /// Sends `request` if `epoch` is still the current one (any, if `None`), and calls `done` once
    /// with what came of it, on another thread or on this one.
    pub fn send(
        &self,
        epoch: Option<Epoch>,
        request: Request,
        done: impl FnOnce(Result<Response, ClientError>) + Send + 'static,
    ) {
        let _ = (epoch, request, done);
        unimplemented!()
    }

    /// Sends `request` and blocks until there is an answer.
    pub fn call(&self, epoch: Option<Epoch>, request: Request) -> Result<Response, ClientError> {
        let _ = (epoch, request);
        unimplemented!()
    }
}
