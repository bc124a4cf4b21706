//! Authorizations (RFC 8555 sections 7.1.4, 7.4.1 and 7.5).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use policy::name::Name;
use serde::{Deserialize, Serialize};

use super::challenge::ChallengeView;
use super::order::IdentifierBody;
use super::request::ByAccount;
use super::time::rfc3339;
use super::urls;
use crate::service::acme::Acme;
use crate::service::acme::authorizations::{Authorization, Expired, PreAuthorized};
use crate::service::acme::error::AcmeError;
use crate::service::acme::identifiers::identifier;
use crate::service::acme::records::{AuthorizationStatus, ChallengeState};
use crate::validation::Wildcard;

#[derive(Deserialize)]
pub(super) struct UpdateBody {
    status: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NewAuthorizationBody {
    pub(super) identifier: IdentifierBody,
}

#[derive(Serialize)]
pub(super) struct IdentifierView {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

impl From<&Name> for IdentifierView {
    fn from(name: &Name) -> Self {
        let (kind, value) = identifier(name);
        Self { kind, value }
    }
}

#[derive(Serialize)]
struct AuthorizationView<'a> {
    identifier: IdentifierView,
    status: &'static str,
    expires: String,
    challenges: Vec<ChallengeView<'a>>,
    /// There only if it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    wildcard: Option<bool>,
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
    Ok(view(&acme, &authorization))
}

/// Makes an authorization before there is an order.
pub(super) async fn create(State(acme): State<Arc<Acme>>, by: ByAccount) -> Result<Response, AcmeError> {
    let body: NewAuthorizationBody = by.payload.json()?;
    let (status, authorization) = match acme.new_authorization(&by.account, &body.identifier.into(), by.from).await? {
        PreAuthorized::Created(authorization) => (StatusCode::CREATED, authorization),
        PreAuthorized::Found(authorization) => (StatusCode::OK, authorization),
    };
    let location = urls::authorization(&acme.services().public_url, &authorization.id);
    Ok((status, [(LOCATION, location)], view(&acme, &authorization)).into_response())
}

pub(super) fn view(acme: &Acme, authorization: &Authorization) -> Response {
    let record = &authorization.record;
    let status = status(authorization);
    // One that is decided shows what decided it (RFC 8555 section 7.1.4).
    let open = status == "pending" || record.challenges.iter().all(|one| one.state == ChallengeState::Pending);
    let shown = record.challenges.iter().filter(|one| open || one.state != ChallengeState::Pending);
    let view = AuthorizationView {
        identifier: (&record.name).into(),
        status,
        expires: rfc3339(record.expires),
        challenges: shown.map(|one| ChallengeView::new(acme, &authorization.id, one)).collect(),
        wildcard: (record.wildcard == Wildcard::Yes).then_some(true),
    };
    let mut response = Json(view).into_response();
    if status == "pending" {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// RFC 8555 section 7.1.6: a pending one whose time is over is invalid, a valid one expired.
fn status(authorization: &Authorization) -> &'static str {
    match (authorization.record.status, authorization.expired) {
        (AuthorizationStatus::Pending, Expired::No) => "pending",
        (AuthorizationStatus::Pending, Expired::Yes) | (AuthorizationStatus::Invalid, _) => "invalid",
        (AuthorizationStatus::Valid, Expired::No) => "valid",
        (AuthorizationStatus::Valid, Expired::Yes) => "expired",
        (AuthorizationStatus::Deactivated, _) => "deactivated",
        (AuthorizationStatus::Revoked, _) => "revoked",
    }
}
