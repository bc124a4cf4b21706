//! ACME errors as problem documents (RFC 8555 section 6.7): the one place that knows their types
//! and statuses.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, LINK};
use http::{HeaderValue, StatusCode};
use policy::name::Name;
use serde_json::{Value, json};

use crate::problem::{Problem, RETRY, SEALED};
use crate::service::acme::error::{AcmeError, Rejected, Rejection};
use crate::service::acme::identifiers::identifier;
use crate::service::acme::key::Algorithm;
use crate::service::limits::TooMuch;
use crate::validation::{Failure, FailureKind};

/// When to come back after a signer that restarts or a store that is busy.
const SHORTLY: Duration = Duration::from_secs(2);

/// The problem document of an error.
pub(super) fn problem(error: &AcmeError) -> Problem {
    use StatusCode as S;
    let (kind, status) = match error {
        AcmeError::AccountDeactivated => ("unauthorized", S::UNAUTHORIZED),
        AcmeError::AccountDoesNotExist(_) => ("accountDoesNotExist", S::BAD_REQUEST),
        AcmeError::AlreadyReplaced => ("alreadyReplaced", S::CONFLICT),
        AcmeError::AlreadyRevoked => ("alreadyRevoked", S::BAD_REQUEST),
        AcmeError::BadCsr(_) => ("badCSR", S::BAD_REQUEST),
        AcmeError::BadNonce(_) => ("badNonce", S::BAD_REQUEST),
        AcmeError::BadPublicKey(_) => ("badPublicKey", S::BAD_REQUEST),
        AcmeError::BadRevocationReason(_) => ("badRevocationReason", S::BAD_REQUEST),
        AcmeError::BadSignatureAlgorithm(_) => ("badSignatureAlgorithm", S::BAD_REQUEST),
        AcmeError::ExternalAccountRequired => ("externalAccountRequired", S::FORBIDDEN),
        AcmeError::Completed | AcmeError::OrderNotReady(_) => ("orderNotReady", S::FORBIDDEN),
        AcmeError::Failures(failures) => (failure_kind(failures), S::FORBIDDEN),
        AcmeError::Internal(_) => ("serverInternal", S::INTERNAL_SERVER_ERROR),
        AcmeError::InvalidContact(_) => ("invalidContact", S::BAD_REQUEST),
        AcmeError::InvalidProfile(_) => ("invalidProfile", S::BAD_REQUEST),
        AcmeError::KeyInUse(_) => ("malformed", S::CONFLICT),
        AcmeError::Malformed(_) => ("malformed", S::BAD_REQUEST),
        AcmeError::MethodNotAllowed(_) => ("malformed", S::METHOD_NOT_ALLOWED),
        AcmeError::NotAcceptable => ("malformed", S::NOT_ACCEPTABLE),
        AcmeError::NotFound(_) => ("malformed", S::NOT_FOUND),
        AcmeError::RateLimited(_) => ("rateLimited", S::TOO_MANY_REQUESTS),
        AcmeError::RejectedIdentifiers(rejected) => (common_kind(rejected), S::BAD_REQUEST),
        AcmeError::Sealed | AcmeError::Unavailable(_) => ("serverInternal", S::SERVICE_UNAVAILABLE),
        AcmeError::TooLarge => ("malformed", S::PAYLOAD_TOO_LARGE),
        AcmeError::Unauthorized(_) => ("unauthorized", S::FORBIDDEN),
        AcmeError::UnsupportedContact(_) => ("unsupportedContact", S::BAD_REQUEST),
        AcmeError::UnsupportedMediaType => ("malformed", S::UNSUPPORTED_MEDIA_TYPE),
        AcmeError::UserActionRequired(_) => ("userActionRequired", S::FORBIDDEN),
    };
    let problem = Problem::new(urn(kind), status, error.to_string());
    match error {
        AcmeError::BadSignatureAlgorithm(_) => problem.member("algorithms", Algorithm::NAMES.to_vec()),
        AcmeError::Failures(failures) => {
            problem.member("subproblems", failures.iter().map(failed_name).collect::<Vec<_>>())
        }
        AcmeError::Internal(_) => Problem::new(urn(kind), status, Problem::internal().detail),
        AcmeError::RateLimited(refusal) => problem.retry_after(refusal.retry_after),
        AcmeError::RejectedIdentifiers(rejected) => {
            problem.member("subproblems", rejected.iter().map(subproblem).collect::<Vec<_>>())
        }
        AcmeError::Sealed => Problem::new(urn(kind), status, SEALED).retry_after(RETRY),
        AcmeError::Unavailable(_) => problem.retry_after(SHORTLY),
        AcmeError::UserActionRequired(required) => problem.member("instance", required.how.as_str()),
        _ => problem,
    }
}

impl IntoResponse for AcmeError {
    fn into_response(self) -> Response {
        if let Self::Internal(why) = &self {
            tracing::error!(why, "an ACME request failed");
        }
        let mut response = problem(&self).into_response();
        let header = match &self {
            Self::MethodNotAllowed(methods) => Some((ALLOW, HeaderValue::from_static(methods))),
            Self::RateLimited(TooMuch { help: Some(help), .. }) => {
                HeaderValue::try_from(format!("<{help}>;rel=\"help\"")).ok().map(|link| (LINK, link))
            }
            Self::UserActionRequired(required) => {
                let link = HeaderValue::try_from(format!("<{}>;rel=\"terms-of-service\"", required.terms));
                link.ok().map(|link| (LINK, link))
            }
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A failed challenge's `error` member.
pub(super) fn failure(failure: &Failure) -> Value {
    let (kind, status) = kind_of(failure);
    json!({"type": urn(kind), "detail": failure.detail, "status": status})
}

/// The `error` member of an order whose challenges failed: one as it is, several as a compound one.
pub(super) fn failures(failures: &[(Name, Failure)]) -> Value {
    match failures {
        [(_, one)] => failure(one),
        several => json!({
            "type": urn(failure_kind(several)),
            "detail": "control of several names was not shown, each for the reason in its subproblem",
            "status": 403,
            "subproblems": several.iter().map(failed_name).collect::<Vec<_>>(),
        }),
    }
}

fn kind_of(failure: &Failure) -> (&'static str, u16) {
    match failure.kind {
        FailureKind::Caa => ("caa", 403),
        FailureKind::Connection => ("connection", 400),
        FailureKind::Dns => ("dns", 400),
        FailureKind::IncorrectResponse => ("incorrectResponse", 403),
        FailureKind::Malformed => ("malformed", 400),
        FailureKind::Tls => ("tls", 400),
        FailureKind::Unauthorized => ("unauthorized", 403),
    }
}

/// The `error` member of what ended without a failed validation.
pub(super) fn ended(kind: &str, detail: &str) -> Value {
    json!({"type": urn(kind), "detail": detail, "status": 403})
}

/// The type on top: the one that all subproblems have, or `compound`.
fn common(mut kinds: impl Iterator<Item = &'static str>) -> &'static str {
    let first = kinds.next().unwrap_or("compound");
    if kinds.all(|kind| kind == first) { first } else { "compound" }
}

fn common_kind(rejected: &[Rejected]) -> &'static str {
    common(rejected.iter().map(|one| rejection(one.why)))
}

fn failure_kind(failures: &[(Name, Failure)]) -> &'static str {
    common(failures.iter().map(|(_, failure)| kind_of(failure).0))
}

fn failed_name((name, one): &(Name, Failure)) -> Value {
    let (kind, value) = identifier(name);
    let mut problem = failure(one);
    problem["identifier"] = json!({"type": kind, "value": value});
    problem
}

fn rejection(why: Rejection) -> &'static str {
    match why {
        Rejection::Malformed => "malformed",
        Rejection::Rejected => "rejectedIdentifier",
        Rejection::Unsupported => "unsupportedIdentifier",
    }
}

fn subproblem(rejected: &Rejected) -> Value {
    json!({
        "type": urn(rejection(rejected.why)),
        "detail": rejected.detail,
        "identifier": {"type": rejected.kind, "value": rejected.value},
    })
}

fn urn(kind: &str) -> String {
    format!("urn:ietf:params:acme:error:{kind}")
}
