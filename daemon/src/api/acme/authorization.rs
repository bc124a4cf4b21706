//! Authorizations and challenges (RFC 8555 sections 7.5 and 8).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LINK, RETRY_AFTER};
use policy::name::DnsName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::ByAccount;
use super::{problem, rfc3339, urls};
use crate::service::acme::authorizations::{Authorization, Expired};
use crate::service::acme::error::AcmeError;
use crate::service::acme::{Acme, AuthorizationState};

#[derive(Deserialize)]
struct UpdateBody {
    status: Option<String>,
}

/// The payload of a response to a challenge: an object, whose members are ignored.
#[derive(Deserialize)]
struct RespondBody {}

#[derive(Serialize)]
pub(super) struct IdentifierView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: &'a DnsName,
}

#[derive(Serialize)]
struct AuthorizationView<'a> {
    identifier: IdentifierView<'a>,
    status: &'static str,
    expires: String,
    challenges: [ChallengeView<'a>; 1],
}

#[derive(Serialize)]
struct ChallengeView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    status: &'static str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// Shows an authorization, or gives it up.
pub(super) async fn update(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    let authorization = if by.payload.is_empty() {
        acme.authorization(&by.account, &id)?
    } else {
        let body: UpdateBody = by.payload.json()?;
        if body.status.as_deref() != Some("deactivated") {
            return Err(AcmeError::Malformed("an authorization takes `\"status\": \"deactivated\"` only".into()));
        }
        acme.deactivate_authorization(&by.account, &id).await?
    };
    let base = &acme.services().public_url;
    let status = authorization_status(&authorization);
    let view = AuthorizationView {
        identifier: identifier(&authorization.record.name),
        status,
        expires: rfc3339(authorization.record.expires),
        challenges: [challenge(base, &authorization)],
    };
    let mut response = Json(view).into_response();
    if status == "pending" {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// Shows a challenge, or begins its validation.
pub(super) async fn respond(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    let authorization = if by.payload.is_empty() {
        acme.authorization(&by.account, &id)?
    } else {
        let RespondBody {} = by.payload.json()?;
        acme.respond(&by.account, &id).await?
    };
    let base = &acme.services().public_url;
    let view = challenge(base, &authorization);
    let processing = view.status == "processing";
    let mut response = Json(view).into_response();
    let headers = response.headers_mut();
    if let Ok(up) = HeaderValue::try_from(format!("<{}>;rel=\"up\"", urls::authorization(base, &id))) {
        headers.append(LINK, up);
    }
    if processing {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

pub(super) fn identifier(name: &DnsName) -> IdentifierView<'_> {
    IdentifierView { kind: "dns", value: name }
}

/// RFC 8555 section 7.1.6: a pending one whose time is over is invalid, a valid one expired.
fn authorization_status(authorization: &Authorization) -> &'static str {
    match (&authorization.record.state, authorization.expired) {
        (AuthorizationState::Pending | AuthorizationState::Processing { .. }, Expired::No) => "pending",
        (AuthorizationState::Pending | AuthorizationState::Processing { .. }, Expired::Yes) => "invalid",
        (AuthorizationState::Valid { .. }, Expired::No) => "valid",
        (AuthorizationState::Valid { .. }, Expired::Yes) => "expired",
        (AuthorizationState::Invalid { .. }, _) => "invalid",
        (AuthorizationState::Deactivated { .. }, _) => "deactivated",
    }
}

fn challenge<'a>(base: &str, authorization: &'a Authorization) -> ChallengeView<'a> {
    let (status, validated, error) = match &authorization.record.state {
        AuthorizationState::Pending => ("pending", None, None),
        AuthorizationState::Processing { error } => ("processing", None, error.as_ref().map(problem::failure)),
        AuthorizationState::Valid { at, .. } | AuthorizationState::Deactivated { validated: Some(at) } => {
            ("valid", Some(*at), None)
        }
        AuthorizationState::Invalid { error } => ("invalid", None, Some(problem::failure(error))),
        // Nothing leads back from processing to pending, and nothing will be validated any more.
        AuthorizationState::Deactivated { validated: None } => {
            ("invalid", None, Some(problem::ended("the authorization was deactivated")))
        }
    };
    ChallengeView {
        kind: "http-01",
        url: urls::challenge(base, &authorization.id),
        status,
        token: &authorization.record.token,
        validated: validated.map(rfc3339),
        error,
    }
}
