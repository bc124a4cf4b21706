//! Problem documents (RFC 9457): presentation of an error, never its cause chain.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

/// A problem document and the headers that go with it. `detail` is one sentence for the client;
/// the causes were logged with the request id.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// `type`: an ACME error URN or one of our own.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    /// One sentence: what is wrong and what to do.
    pub detail: String,
    /// Further members (`subproblems`, `algorithms`, …).
    #[serde(flatten)]
    pub members: serde_json::Map<String, serde_json::Value>,
    /// Retry-After header.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// The words that every sealed answer carries.
pub const SEALED: &str = "strongbox sealed";

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
