//! Errors in uPKI's form: `{"status": "error", "code": …, "message": …}`.

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
use crate::service::issue::IssueFailure;
use crate::service::limits::TooMuch;
use crate::service::nodes::CertifyError;
use crate::service::seal::SEALED;

/// An error for the client. Causes of our own went to the log.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Some(code), message: message.into(), retry_after: None }
    }

    /// The request asks for what cannot be.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    /// What was asked for cannot be done as things are.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "OPERATION_FAILED", message)
    }

    /// Nobody knows who asks.
    pub(super) fn authentication(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AUTH_ERROR", message)
    }

    /// There is no such thing. uPKI has one sentence for all of them.
    pub(super) fn missing() -> Self {
        Self { status: StatusCode::NOT_FOUND, code: None, message: "Not found".to_owned(), retry_after: None }
    }

    /// Not now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "CA_ERROR", message);
        Self { retry_after: Some(RETRY), ..error }
    }

    /// Our own fault; `cause` goes to the log.
    pub(super) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a request failed");
        let message = "Internal server error: the server's log has the cause under the X-Request-Id of this answer";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let words = failure.to_string();
        match failure {
            Failure::Conflict(_) => Self::failed(words),
            Failure::Internal(cause) => Self::internal(&cause),
            Failure::Invalid(_) | Failure::Refused(_) => Self::validation(words),
            Failure::Missing(_) => Self::missing(),
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
            IssueFailure::Conflict(why) | IssueFailure::Csr(why) | IssueFailure::Missing(why) => Self::validation(why),
            IssueFailure::Internal(cause) => Self::internal(&cause),
            IssueFailure::Pending(_) => Self::failed(failure.to_string()),
            IssueFailure::Refused(refusal) => Self::validation(refusal.why),
            IssueFailure::Sealed => Self::unavailable(SEALED),
            IssueFailure::Unavailable(why) => Self::unavailable(why),
        }
    }
}

impl From<CertifyError> for Error {
    fn from(error: CertifyError) -> Self {
        match error {
            CertifyError::Failure(failure) => failure.into(),
            CertifyError::Issue(failure) => failure.into(),
            CertifyError::Seed(why) => Self::authentication(why),
        }
    }
}

impl From<TooMuch> for Error {
    fn from(much: TooMuch) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", much.detail);
        Self { retry_after: Some(much.retry_after), ..error }
    }
}

/// uPKI says 401 both to whoever does not prove who he is, and to whoever may not.
impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal("it is not known who asks"),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(refused.why),
            StatusCode::UNAUTHORIZED => Self::authentication(refused.why),
            _ => Self::new(StatusCode::UNAUTHORIZED, "AUTHZ_ERROR", refused.why),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = json!({"status": "error", "message": self.message});
        if let Some(code) = self.code {
            body["code"] = code.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

/// A method that a path does not take, in FastAPI's words; the router adds those that it does.
pub(super) fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({"detail": "Method Not Allowed"}))).into_response()
}

/// A problem document of the HTTP layer (too large, too late, a defect) in uPKI's form.
pub async fn present(problem: Response) -> Response {
    let (mut head, body) = problem.into_parts();
    let document = axum::body::to_bytes(body, MAX_PROBLEM).await.unwrap_or_default();
    let document: Value = serde_json::from_slice(&document).unwrap_or_default();
    let message = document["detail"].as_str().unwrap_or("the request cannot be answered");
    let code = match head.status {
        StatusCode::SERVICE_UNAVAILABLE => "CA_ERROR",
        status if status.is_server_error() => "INTERNAL_ERROR",
        _ => "VALIDATION_ERROR",
    };
    let body = json!({"status": "error", "code": code, "message": message}).to_string();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

/// Longest problem document that is read again.
const MAX_PROBLEM: usize = 64 * 1024;
