//! Ends a process whose token hangs, and tells systemd that this one works.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Signer;
use super::server;

/// How often handshakes are journalled.
const COUNTS: Duration = Duration::from_secs(60);

/// What a start may take beside the PKCS#11 calls in it: the token may have to be looked for.
const LOADING: Duration = Duration::from_secs(10);

/// Ends the process if it does not get past its start. The start is over when this is dropped.
pub(super) struct Starting {
    _over: mpsc::Sender<()>,
}

impl Starting {
    pub(super) fn watch(deadline: Duration) -> std::io::Result<Self> {
        let (over, wait) = mpsc::channel();
        let limit = LOADING + 3 * deadline;
        thread::Builder::new().name("starting".to_owned()).spawn(move || {
            // It may outlive the start by a moment, and must not be the thread that a SIGTERM ends.
            let _ = server::signals().thread_block();
            if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                tracing::error!(
                    event = "token_hangs",
                    "the module did not answer while the signer started: this process ends"
                );
                std::process::abort();
            }
        })?;
        Ok(Self { _over: over })
    }
}

/// The watchdog's life. `deadline` is the longest that one PKCS#11 call may take.
pub(super) fn watch(signer: &Arc<Signer>, deadline: Duration) {
    let expected = signer.supervisor.watchdog();
    let within = expected.unwrap_or(deadline);
    let tick = (deadline / 8).min(within / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let (mut pinged, mut counted) = (Instant::now(), Instant::now());
    loop {
        thread::sleep(tick);
        if let Some(call) = signer.token.oldest_call().filter(|call| *call > deadline) {
            // Not an orderly exit: the module's own exit handlers would wait for what hangs. Whoever
            // waits for the journal has not been answered, and what it holds it holds.
            tracing::error!(
                event = "token_hangs",
                seconds = call.as_secs_f32(),
                "a PKCS#11 call passed its deadline: this process ends"
            );
            std::process::abort();
        }
        // A journal whose disk hangs answers nobody: then systemd should hear nothing either.
        let journal_moves = signer.journal.busy().is_none_or(|busy| busy < within);
        if let Some(expected) = expected.filter(|_| journal_moves)
            && pinged.elapsed() >= expected / 3
        {
            pinged = Instant::now();
            signer.supervisor.tell("WATCHDOG=1");
        }
        if counted.elapsed() >= COUNTS {
            counted = Instant::now();
            signer.journal_counts(|| {});
        }
    }
}
