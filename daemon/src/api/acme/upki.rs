//! uPKI's forms of orders, authorizations and certificates: plain GET, without a signature. RFC 8555
//! section 6.3 forbids them, so they are off unless the configuration says `upki_forms = true`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{authorization, certificate, order};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;

/// An order. Unlike the standard's form it says `null` where there is no certificate and no error.
pub(super) async fn show_order(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, AcmeError> {
    let mut view = serde_json::to_value(order::body(&acme, &acme.public_order(&id)?))
        .map_err(|error| AcmeError::Internal(format!("an order has no JSON form: {error}")))?;
    if let Some(members) = view.as_object_mut() {
        for member in ["certificate", "error"] {
            members.entry(member).or_insert(Value::Null);
        }
    }
    Ok(Json(view))
}

pub(super) async fn show_authorization(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
) -> Result<Response, AcmeError> {
    Ok(authorization::view(&acme, &acme.public_authorization(&id)?))
}

/// A certificate: PEM for who asks for it by name, JSON for everybody else.
pub(super) async fn show_certificate(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, AcmeError> {
    let pem = acme.public_chain(&id)?;
    match certificate::asks_for_pem(&headers) {
        true => Ok(([(CONTENT_TYPE, certificate::PEM_CHAIN)], pem).into_response()),
        false => Ok(Json(json!({"certificate": pem})).into_response()),
    }
}

/// The key authorization that http-01 looks for.
pub(super) async fn show_key_authorization(
    State(acme): State<Arc<Acme>>,
    Path(token): Path<String>,
) -> Result<Response, AcmeError> {
    Ok(([(CONTENT_TYPE, "application/octet-stream")], acme.key_authorization(&token)?).into_response())
}
