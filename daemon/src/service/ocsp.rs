//! OCSP as relying parties and administrators see it.

use policy::effects::UnixTime;

use super::administrators::Permitted;
use super::{Failure, Services};
use crate::revocation::ocsp::SnapshotError;

pub use crate::revocation::Seen;
pub use crate::revocation::ocsp::{Answer, Aside, Report, Snapshot};

impl Services {
    /// Answers an OCSPRequest, DER.
    pub async fn ocsp(&self, request: &[u8]) -> Answer {
        self.revocation.responder_of(request).answer(request).await
    }

    /// Answers an OCSPRequest as it stands in a path: percent-encoded base64 (RFC 6960 appendix A.1).
    pub async fn ocsp_in_path(&self, text: &str) -> Answer {
        self.revocation.responder_of_path(text).answer_path(text).await
    }

    /// How the responder is, and what the watchdog sees of it.
    pub fn ocsp_report(&self, _permitted: &Permitted) -> (Report, Vec<(String, Seen)>) {
        let seen = self.revocation.watch.seen().into_iter().filter(|(what, _)| what.starts_with("OCSP"));
        (self.revocation.responder.report(), seen.collect())
    }

    /// Begins to sign an answer for every certificate that has not expired, good until `until`.
    pub async fn presign(&self, permitted: &Permitted, until: UnixTime) -> Result<Snapshot, Failure> {
        tracing::info!(who = permitted.actor().who, until = until.0, "a snapshot of OCSP answers is asked for");
        self.revocation.responder.snapshot(until).await.map_err(|error| match error {
            SnapshotError::Far(_) | SnapshotError::Past => Failure::Conflict(error.to_string()),
            SnapshotError::Later(_) => Failure::Unavailable(error.to_string()),
        })
    }
}
