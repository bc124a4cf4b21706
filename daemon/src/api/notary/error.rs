//! Errors in both generations' form: `{"error": …, "message": …}`, each in its own words.

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
use crate::service::notary::accounts::{AccountError, SignInError};
use crate::service::notary::chain::ChainError;
use crate::service::notary::requests::RequestError;
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

    /// The request cannot be done as it is.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub(super) fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// A method that a path does not take; the router adds those that it does.
    pub(super) fn not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
    }

    /// Nobody knows who asks.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized")
    }

    /// Not now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// Our own fault; `cause` goes to the log.
    pub(super) fn internal(cause: &str) -> Self {
        tracing::error!(cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }
}

/// The words of the older generation.
fn older(message: &str) -> String {
    match message {
        "bad request" => "Bad Request".to_owned(),
        "internal error" => "Internal Error".to_owned(),
        "invalid credentials" => "The email or password is incorrect".to_owned(),
        "not found" => "Not Found".to_owned(),
        // Two that were never capitals.
        "account with given email already exists" | "given csr already recorded" => message.to_owned(),
        SEALED => message.to_owned(),
        _ => {
            let (first, rest) = message.split_at(message.chars().next().map_or(0, char::len_utf8));
            first.to_uppercase() + rest
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let words = failure.to_string();
        match failure {
            Failure::Conflict(_) | Failure::Invalid(_) | Failure::Refused(_) => Self::bad(words),
            Failure::Internal(cause) => Self::internal(&cause),
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

impl From<AccountError> for Error {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Failure(failure) => failure.into(),
            AccountError::Missing => Self::missing(),
            AccountError::NotFirst => Self::unauthorized(),
            AccountError::Default | AccountError::Exists | AccountError::Last | AccountError::LastAdministrator => {
                Self::bad(error.to_string())
            }
        }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        let words = error.to_string();
        match error {
            RequestError::Access => Self::new(StatusCode::FORBIDDEN, words),
            RequestError::Authority | RequestError::Missing => Self::missing(),
            RequestError::Chain(ChainError::Bad(why)) => {
                tracing::info!(why, "a chain was refused");
                Self::bad(words)
            }
            RequestError::Chain(_) | RequestError::Csr => Self::bad(format!("invalid request: {words}")),
            RequestError::Exists | RequestError::Live | RequestError::Unusable(_) => Self::bad(words),
            RequestError::Failure(failure) => failure.into(),
            RequestError::Issue(failure) => failure.into(),
            RequestError::NotOurs => Self::new(StatusCode::UNPROCESSABLE_ENTITY, words),
        }
    }
}

impl From<IssueFailure> for Error {
    fn from(failure: IssueFailure) -> Self {
        let words = failure.to_string();
        match failure {
            IssueFailure::Conflict(_) | IssueFailure::Csr(_) | IssueFailure::Pending(_) | IssueFailure::Refused(_) => {
                Self::bad(words)
            }
            IssueFailure::Internal(_) | IssueFailure::Missing(_) => Self::internal(&words),
            IssueFailure::Sealed | IssueFailure::Unavailable(_) => Self::unavailable(words),
        }
    }
}

impl From<SignInError> for Error {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Failure(failure) => failure.into(),
            SignInError::TooMuch(much) => much.into(),
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
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
            StatusCode::FORBIDDEN => Self::new(refused.status, "forbidden: insufficient permissions"),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(refused.why),
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            _ => Self::internal("it is not known who asks"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = json!({"error": older(&self.message), "message": self.message});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

/// What is wrong with a body, in the dialect's words.
pub(super) fn invalid(failure: Failure) -> Error {
    match failure {
        Failure::Invalid(why) => Error::bad(format!("invalid request: {why}")),
        other => other.into(),
    }
}

/// A problem document of the HTTP layer (too large, too late, a defect) in the dialect's form.
pub async fn present(problem: Response) -> Response {
    let (mut head, body) = problem.into_parts();
    let document = axum::body::to_bytes(body, MAX_PROBLEM).await.unwrap_or_default();
    let document: Value = serde_json::from_slice(&document).unwrap_or_default();
    let message = match head.status {
        StatusCode::INTERNAL_SERVER_ERROR => "internal error",
        StatusCode::NOT_FOUND => "not found",
        StatusCode::PAYLOAD_TOO_LARGE => "request body too large",
        _ => document["detail"].as_str().unwrap_or("the request cannot be answered"),
    };
    let body = json!({"error": older(message), "message": message}).to_string();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

/// Longest problem document that is read again.
const MAX_PROBLEM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_its_own_words() {
        for (newer, expected) in [
            ("unauthorized", "Unauthorized"),
            ("not found", "Not Found"),
            ("invalid ID", "Invalid ID"),
            ("invalid JSON format", "Invalid JSON format"),
            ("invalid request: csr is required", "Invalid request: csr is required"),
            ("internal error", "Internal Error"),
            ("invalid credentials", "The email or password is incorrect"),
            ("strongbox sealed", "strongbox sealed"),
            ("given csr already recorded", "given csr already recorded"),
            ("", ""),
        ] {
            assert_eq!(older(newer), expected);
        }
    }
}
