//! Orders (RFC 8555 sections 7.1.3 and 7.4).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use policy::validity::Requested;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorization::IdentifierView;
use super::request::ByAccount;
use super::time::{moment, rfc3339};
use super::{jws, problem, urls};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::acme::finalize::why_invalid;
use crate::service::acme::identifiers::Identifier;
use crate::service::acme::orders::{NewOrder, Order, OrderStatus, WhyInvalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewOrderBody {
    #[serde(default)]
    pub(super) identifiers: Vec<IdentifierBody>,
    pub(super) not_before: Option<String>,
    pub(super) not_after: Option<String>,
    profile: Option<String>,
    replaces: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct IdentifierBody {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

impl From<IdentifierBody> for Identifier {
    fn from(body: IdentifierBody) -> Self {
        Self { kind: body.kind, value: body.value }
    }
}

#[derive(Deserialize)]
pub(super) struct FinalizeBody {
    pub(super) csr: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderView<'a> {
    status: &'static str,
    expires: String,
    identifiers: Vec<IdentifierView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    authorizations: Vec<String>,
    finalize: String,
    profile: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

pub(super) async fn create(State(acme): State<Arc<Acme>>, by: ByAccount) -> Result<Response, AcmeError> {
    let mut body: NewOrderBody = by.payload.json()?;
    let requested = Requested {
        not_before: moment("notBefore", body.not_before.as_deref())?,
        not_after: moment("notAfter", body.not_after.as_deref())?,
    };
    let identifiers = std::mem::take(&mut body.identifiers).into_iter().map(Identifier::from).collect();
    let node = acme.node_behind(by.peer.as_deref(), &by.account)?;
    let NewOrderBody { profile, replaces, .. } = body;
    let wish = NewOrder { identifiers, from: by.from, node, profile, replaces, requested };
    let order = acme.new_order(&by.account, wish).await?;
    Ok((StatusCode::CREATED, view(&acme, &order)).into_response())
}

pub(super) async fn show(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    by.payload.empty()?;
    Ok(view(&acme, &acme.order(&by.account, &id).await?))
}

pub(super) async fn finalize(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    let body: FinalizeBody = by.payload.json()?;
    let csr = jws::decode("csr", &body.csr)?;
    Ok(view(&acme, &acme.finalize(&by.account, &id, &csr, by.request).await?))
}

fn view(acme: &Acme, order: &Order) -> Response {
    let mut response = Json(body(acme, order)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(urls::order(&acme.services().public_url, &order.id)) {
        headers.insert(LOCATION, location);
    }
    if matches!(order.status, OrderStatus::Pending | OrderStatus::Processing) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub(super) fn body<'a>(acme: &Acme, order: &'a Order) -> impl Serialize + use<'a> {
    let base = &acme.services().public_url;
    let record = &order.record;
    let (status, error) = match &order.status {
        OrderStatus::Pending => ("pending", None),
        OrderStatus::Ready => ("ready", None),
        OrderStatus::Processing => ("processing", None),
        OrderStatus::Valid => ("valid", None),
        OrderStatus::Invalid(WhyInvalid::Challenges(failures)) => ("invalid", Some(problem::failures(failures))),
        OrderStatus::Invalid(WhyInvalid::Failed(failure)) => {
            ("invalid", Some(problem::ended(&failure.kind, &failure.detail)))
        }
        OrderStatus::Invalid(why) => ("invalid", Some(problem::ended("malformed", &why_invalid(why)))),
    };
    OrderView {
        status,
        expires: rfc3339(record.expires),
        identifiers: record.names.iter().map(IdentifierView::from).collect(),
        not_before: record.requested.not_before.map(rfc3339),
        not_after: record.requested.not_after.map(rfc3339),
        authorizations: record.authorizations.iter().map(|id| urls::authorization(base, id)).collect(),
        finalize: urls::finalize(base, &order.id),
        profile: &record.profile,
        replaces: record.replaces.as_deref(),
        certificate: record.certificate.map(|_| urls::certificate(base, &order.id)),
        error,
    }
}
