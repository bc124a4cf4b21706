//! Requests of the Notary dialect: what the pipeline completes, and the journal completes again after a
//! crash (J3).

use policy::effects::UnixTime;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use crate::store::Table;

/// Requests. Key: the number, u64, big-endian.
pub const NOTARY_REQUESTS: Table<NotaryRequest> = Table::new("notary_requests");

/// A CSR that waits for certificates, ours or another CA's, until it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotaryRequest {
    /// Who sent it, in the words of the journal.
    pub requester: String,
    /// When.
    pub created: UnixTime,
    /// The CSR, PEM as it was sent.
    pub csr: String,
    /// How often it was signed, or was about to be: what a certificate names as its order.
    pub attempts: u32,
    /// What became of it.
    pub state: NotaryState,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum NotaryState {
    /// One of our certificates was signed for it.
    Issued {
        /// Which.
        certificate: Serial,
        /// By which attempt; 0 for one that was put to it.
        attempt: u32,
    },
    /// Nobody has decided.
    Outstanding,
    /// Somebody rejected it.
    Rejected,
    /// Certificates of another CA were put to it.
    Uploaded {
        /// Last second of the first one's validity.
        not_after: UnixTime,
    },
}

impl NotaryRequest {
    /// Whether an attempt has its certificate.
    pub(super) fn is_completed(&self, attempt: u32) -> bool {
        matches!(self.state, NotaryState::Issued { attempt: of, .. } if of == attempt)
    }

    /// Notes the certificate of the attempt that is under way; says whether that is new. The answer to an
    /// attempt before the last one changes nothing: its certificate is with all others.
    pub(super) fn complete(&mut self, attempt: u32, certificate: Serial) -> bool {
        let state = NotaryState::Issued { certificate, attempt };
        let new = self.attempts == attempt && self.state != state;
        if new {
            self.state = state;
        }
        new
    }
}

/// How authorization records call an attempt to sign the request with this number.
pub fn order_of(id: u64, attempt: u32) -> String {
    format!("{PREFIX}{id}:{attempt}")
}

/// Number and attempt that an authorization record speaks of, if it speaks of a request.
pub(super) fn named_in(order: &str) -> Option<(u64, u32)> {
    let (id, attempt) = order.strip_prefix(PREFIX)?.split_once(':')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

const PREFIX: &str = "notary:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_attempt_completes_a_request() {
        let serial = |octet| Serial::from_slice(&[octet; 20]).unwrap();
        let mut request = NotaryRequest {
            requester: "notary:1".to_owned(),
            created: UnixTime(1),
            csr: String::new(),
            attempts: 2,
            state: NotaryState::Outstanding,
        };
        assert_eq!(named_in(&order_of(7, 2)), Some((7, 2)));
        assert_eq!((named_in("notary:7"), named_in("request:7:2")), (None, None));
        assert!(!request.complete(1, serial(1)));
        assert_eq!(request.state, NotaryState::Outstanding);
        assert!(!request.is_completed(2) && request.complete(2, serial(2)) && !request.complete(2, serial(2)));
        assert_eq!(request.state, NotaryState::Issued { certificate: serial(2), attempt: 2 });
        assert!(request.is_completed(2) && !request.is_completed(1));
    }
}
