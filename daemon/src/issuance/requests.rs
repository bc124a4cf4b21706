//! Requests that wait for somebody's approval: what the pipeline completes, and the journal completes
//! again after a crash (J3).

use aws_lc_rs::digest::{SHA256, digest};
use policy::effects::UnixTime;
use policy::name::Name;
use policy::serial::Serial;
use policy::validity::Requested;
use serde::{Deserialize, Serialize};

use super::hexadecimal;
use crate::store::Table;
use crate::store::tables::base64_bytes;

/// Requests. Key: the request's id as text, in the order in which they were made.
pub const REQUESTS: Table<RequestRecord> = Table::new("requests");

/// A certificate that somebody asked for and somebody else must approve. What is asked for never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Who asked, in the words of the journal.
    pub requester: String,
    /// When.
    pub created: UnixTime,
    /// Last second in which it can be decided.
    pub expires: UnixTime,
    /// What is asked for.
    pub asked: Asked,
    /// What became of it.
    pub state: RequestState,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Name of the profile.
    pub profile: String,
    /// The CSR, DER; base64 in JSON.
    #[serde(with = "base64_bytes")]
    pub csr: Vec<u8>,
    /// The names, sorted.
    pub names: Vec<Name>,
    /// The common name, if it was chosen.
    pub common_name: Option<String>,
    /// The ends of the validity that were chosen.
    pub requested: Requested,
    /// The certificate that is to be renewed, if one is.
    pub replaces: Option<Serial>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum RequestState {
    /// Approved, and not issued yet.
    Approved {
        /// By whom.
        by: String,
        /// When.
        at: UnixTime,
    },
    /// Approved and issued.
    Issued {
        /// Who approved.
        by: String,
        /// When it was issued.
        at: UnixTime,
        /// The certificate.
        certificate: Serial,
    },
    /// Nobody has decided.
    Pending,
    /// Rejected.
    Rejected {
        /// By whom.
        by: String,
        /// When.
        at: UnixTime,
        /// Why, in one line.
        why: String,
    },
}

impl Asked {
    /// SHA-256 of everything that is asked for, hexadecimal: what a decision is about.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("it has string keys and no foreign types");
        hexadecimal(digest(&SHA256, &json).as_ref())
    }
}

impl RequestRecord {
    /// Notes the certificate that completes it; says whether that is new.
    pub(super) fn complete(&mut self, certificate: Serial, by: &str, at: UnixTime) -> bool {
        match &self.state {
            RequestState::Issued { certificate: first, .. } => {
                if *first != certificate {
                    tracing::error!(%first, second = %certificate, "two certificates were signed for one request: revoke the second");
                }
                false
            }
            RequestState::Approved { .. } | RequestState::Pending | RequestState::Rejected { .. } => {
                self.state = RequestState::Issued { by: by.to_owned(), at, certificate };
                true
            }
        }
    }
}

/// How authorization records call the request with this id.
pub fn order_of(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// The id of the request that an authorization record speaks of, if it speaks of one.
pub(super) fn id_in(order: &str) -> Option<&str> {
    order.strip_prefix(PREFIX)
}

const PREFIX: &str = "request:";
