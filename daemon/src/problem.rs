//! Problem documents (RFC 9457): presentation of an error, never its cause chain.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::service::Failure;

/// A problem document and the headers that go with it. `detail` is one sentence for the client;
/// the causes were logged with the request id.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Problem {
    /// `type`: an ACME error URN or `about:blank`, which says no more than the status.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    #[serde(serialize_with = "status_number")]
    #[schemars(with = "u16")]
    pub status: StatusCode,
    /// One sentence: what is wrong and what to do.
    pub detail: String,
    /// Further members (`subproblems`, `algorithms`, …).
    #[serde(flatten)]
    pub members: Map<String, Value>,
    /// Retry-After header.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of type `kind`.
    pub fn new(kind: impl Into<String>, status: StatusCode, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), status, detail: detail.into(), members: Map::new(), retry_after: None }
    }

    /// A problem that the status alone names (RFC 9457 section 4.2.1).
    pub fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new("about:blank", status, detail)
    }

    /// Our own fault, of which the client learns nothing; the log has the cause.
    pub fn internal() -> Self {
        Self::plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed; its log has the cause under the X-Request-Id of this answer",
        )
    }

    /// Nothing can be signed now, and `why`; the same request may succeed later.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, why).retry_after(RETRY)
    }

    /// Adds a member.
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the header that says when to try again.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        let words = failure.to_string();
        match failure {
            Failure::Conflict(_) => Self::plain(StatusCode::CONFLICT, words),
            Failure::Internal(cause) => {
                tracing::error!(cause, "a request failed");
                Self::internal()
            }
            Failure::Invalid(_) => Self::plain(StatusCode::UNPROCESSABLE_ENTITY, words),
            Failure::Missing(_) => Self::plain(StatusCode::NOT_FOUND, words),
            Failure::Refused(_) => Self::plain(StatusCode::FORBIDDEN, words),
            Failure::Unavailable(_) => Self::unavailable(words),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem has string keys and no foreign types");
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2. A certificate is a matter of TLS, which has no challenge here.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

pub use crate::service::seal::SEALED;

/// When to try again while sealed or without a signer: long enough for a person to type a PIN or
/// for systemd to start a process, short enough that clients come back soon.
pub const RETRY: Duration = Duration::from_secs(30);

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_json_with_its_status_and_members() {
        let problem = Problem::unavailable(SEALED).member("hint", "x");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "about:blank", "status": 503, "detail": "strongbox sealed", "hint": "x"})
        );
        let response = problem.into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "30");
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
    }
}
