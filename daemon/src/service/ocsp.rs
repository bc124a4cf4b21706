//! OCSP as relying parties and administrators see it.

use super::Services;

pub use crate::revocation::ocsp::Answer;

impl Services {
    /// Answers an OCSPRequest, DER.
    pub async fn ocsp(&self, request: &[u8]) -> Answer {
        self.revocation.responder.answer(request).await
    }

    /// Answers an OCSPRequest as it stands in a path: percent-encoded base64 (RFC 6960 appendix A.1).
    pub async fn ocsp_in_path(&self, text: &str) -> Answer {
        self.revocation.responder.answer_path(text).await
    }
}
