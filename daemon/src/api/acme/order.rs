//! Orders (RFC 8555 sections 7.1.3 and 7.4).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::ByAccount;
use super::{jws, problem, rfc3339, urls};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::acme::finalize::why_invalid;
use crate::service::acme::orders::{NewOrder, Order, OrderStatus, WhyInvalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrderBody {
    #[serde(default)]
    identifiers: Vec<IdentifierBody>,
    not_before: Option<IgnoredAny>,
    not_after: Option<IgnoredAny>,
    profile: Option<String>,
}

#[derive(Deserialize)]
struct IdentifierBody {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Deserialize)]
struct FinalizeBody {
    csr: String,
}

#[derive(Serialize)]
struct OrderView<'a> {
    status: &'static str,
    expires: String,
    identifiers: Vec<super::authorization::IdentifierView<'a>>,
    authorizations: Vec<String>,
    finalize: String,
    profile: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

pub(super) async fn create(State(acme): State<Arc<Acme>>, by: ByAccount) -> Result<Response, AcmeError> {
    let body: NewOrderBody = by.payload.json()?;
    if body.not_before.is_some() || body.not_after.is_some() {
        // Never silently altered.
        return Err(AcmeError::Malformed(
            "`notBefore` and `notAfter` cannot be chosen: the profile says how long a certificate lasts".into(),
        ));
    }
    let identifiers = body.identifiers.into_iter().map(|one| (one.kind, one.value)).collect();
    let order = acme.new_order(&by.account, NewOrder { identifiers, from: by.from, profile: body.profile }).await?;
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
    let base = &acme.services().public_url;
    let record = &order.record;
    let (status, error) = match &order.status {
        OrderStatus::Pending => ("pending", None),
        OrderStatus::Ready => ("ready", None),
        OrderStatus::Valid => ("valid", None),
        OrderStatus::Invalid(WhyInvalid::Challenge(_, failure)) => ("invalid", Some(problem::failure(failure))),
        OrderStatus::Invalid(why) => ("invalid", Some(problem::ended(&why_invalid(why)))),
    };
    let mut response = Json(OrderView {
        status,
        expires: rfc3339(record.expires),
        identifiers: record.names.iter().map(super::authorization::identifier).collect(),
        authorizations: record.authorizations.iter().map(|id| urls::authorization(base, id)).collect(),
        finalize: urls::finalize(base, &order.id),
        profile: &record.profile,
        certificate: record.certificate.map(|serial| urls::certificate(base, serial)),
        error,
    })
    .into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(urls::order(base, &order.id)) {
        headers.insert(LOCATION, location);
    }
    if order.status == OrderStatus::Pending {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
