//! Challenges (RFC 8555 sections 7.1.5, 7.5.1 and 8).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LINK, RETRY_AFTER};
use policy::evidence::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::ByAccount;
use super::time::rfc3339;
use super::{problem, urls};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::acme::records::{Challenge, ChallengeState};

/// The payload of a response to a challenge: an object, whose members are ignored.
#[derive(Deserialize)]
pub(super) struct RespondBody {}

#[derive(Serialize)]
pub(super) struct ChallengeView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token: &'a str,
    #[serde(rename = "issuer-domain-names", skip_serializing_if = "Option::is_none")]
    issuer_domain_names: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

impl<'a> ChallengeView<'a> {
    pub(super) fn new(acme: &'a Acme, authorization: &str, challenge: &'a Challenge) -> Self {
        let (status, validated, error) = match &challenge.state {
            ChallengeState::Pending => ("pending", None, None),
            ChallengeState::Processing { error } => ("processing", None, error.as_ref().map(problem::failure)),
            ChallengeState::Valid { at } => ("valid", Some(*at), None),
            ChallengeState::Invalid { error } => ("invalid", None, Some(problem::failure(error))),
        };
        Self {
            kind: challenge.method.as_str(),
            url: urls::challenge(&acme.services().public_url, authorization, challenge.method),
            status,
            token: &challenge.token,
            issuer_domain_names: (challenge.method == Method::DnsPersist01)
                .then(|| &*acme.services().validation.caa_identities),
            validated: validated.map(rfc3339),
            error,
        }
    }
}

/// A challenge by its authorization and its type.
pub(super) async fn respond(
    State(acme): State<Arc<Acme>>,
    Path((id, method)): Path<(String, String)>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    answer(&acme, &id, &method, by).await
}

/// A challenge by one id: that of its authorization, a dot, its type.
pub(super) async fn respond_by_id(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    let (id, method) = id.split_once('.').ok_or(AcmeError::NotFound("challenge"))?;
    answer(&acme, id, method, by).await
}

/// Shows a challenge, or begins its validation.
async fn answer(acme: &Arc<Acme>, id: &str, method: &str, by: ByAccount) -> Result<Response, AcmeError> {
    let method = Method::of_challenge(method).ok_or(AcmeError::NotFound("challenge"))?;
    let authorization = if by.payload.is_empty() {
        acme.challenge(&by.account, id, method)?
    } else {
        let RespondBody {} = by.payload.json()?;
        acme.respond(&by.account, id, method).await?
    };
    let challenge = authorization.record.challenge(method).ok_or(AcmeError::NotFound("challenge"))?;
    let view = ChallengeView::new(acme, id, challenge);
    let processing = view.status == "processing";
    let mut response = Json(view).into_response();
    let headers = response.headers_mut();
    let up = urls::authorization(&acme.services().public_url, id);
    if let Ok(up) = HeaderValue::try_from(format!("<{up}>;rel=\"up\"")) {
        headers.append(LINK, up);
    }
    if processing {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
