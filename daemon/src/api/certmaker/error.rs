//! Errors in CertMaker's form: a status, and `{"error": "…"}`.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::api::access::Refused;
use crate::problem::RETRY;
use crate::service::Failure;
use crate::service::certmaker::CertMakerError;
use crate::service::issue::IssueFailure;
use crate::service::limits::TooMuch;
use crate::service::seal::SEALED;

/// An error for the client. Causes of our own went to the log.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// The request asks for what cannot be.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A method that a path does not take; the router adds those that it does.
    pub(super) fn not_allowed() -> Self {
        let message = "this method is not allowed here: the Allow header lists those that are";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// Not now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// Our own fault; `cause` goes to the log.
    pub(super) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
    }
}

impl From<CertMakerError> for Error {
    fn from(error: CertMakerError) -> Self {
        let words = error.to_string();
        match error {
            CertMakerError::Failure(failure) => failure.into(),
            CertMakerError::Foreign => Self::new(StatusCode::FORBIDDEN, words),
            CertMakerError::Gone => Self::new(StatusCode::GONE, words),
            CertMakerError::Invalid(_) | CertMakerError::Unproved(_) => Self::invalid(words),
            CertMakerError::Issue(failure) => failure.into(),
            CertMakerError::Missing(_) => Self::missing(words),
            CertMakerError::Off(_) => Self::new(StatusCode::NOT_IMPLEMENTED, words),
            CertMakerError::TooMuch(much) => much.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let words = failure.to_string();
        match failure {
            Failure::Conflict(_) | Failure::Invalid(_) | Failure::Refused(_) => Self::invalid(words),
            Failure::Internal(cause) => Self::internal(&cause),
            Failure::Missing(_) => Self::missing(words),
            Failure::Unavailable(_) if words == SEALED => Self::unavailable(SEALED),
            Failure::Unavailable(_) => {
                // It may name files of the host.
                tracing::warn!(cause = words, "a request cannot be answered now");
                Self::unavailable("the CA cannot do this at the moment: try again soon")
            }
        }
    }
}

impl From<IssueFailure> for Error {
    fn from(failure: IssueFailure) -> Self {
        match failure {
            IssueFailure::Conflict(why) | IssueFailure::Csr(why) => Self::invalid(why),
            IssueFailure::Internal(cause) => Self::internal(&cause),
            // The profile of the dialect, which the configuration names.
            IssueFailure::Missing(cause) => Self::internal(&cause),
            IssueFailure::Pending(_) => Self::invalid(failure.to_string()),
            IssueFailure::Refused(refusal) => Self::invalid(refusal.why),
            IssueFailure::Sealed => Self::unavailable(SEALED),
            IssueFailure::Unavailable(why) => Self::unavailable(why),
        }
    }
}

impl From<TooMuch> for Error {
    fn from(much: TooMuch) -> Self {
        Self { retry_after: Some(much.retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, much.detail) }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal("it is not known who asks"),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(refused.why),
            status => Self::new(status, refused.why),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({"error": self.message}))).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

/// A problem document of the HTTP layer (too large, too late, a defect) in CertMaker's form.
pub async fn present(problem: Response) -> Response {
    let (mut head, body) = problem.into_parts();
    let document = axum::body::to_bytes(body, MAX_PROBLEM).await.unwrap_or_default();
    let document: Value = serde_json::from_slice(&document).unwrap_or_default();
    let message = document["detail"].as_str().unwrap_or("the request cannot be answered");
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(json!({"error": message}).to_string()))
}

/// Longest problem document that is read again.
const MAX_PROBLEM: usize = 64 * 1024;
