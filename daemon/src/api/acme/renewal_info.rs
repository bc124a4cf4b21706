//! ACME Renewal Information (RFC 9773): anybody may ask, by plain GET.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use serde_json::json;

use super::time::rfc3339;
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;

/// When to ask again, in seconds: six hours (RFC 9773 section 4.3).
const ASK_AGAIN: &str = "21600";

pub(super) async fn show(State(acme): State<Arc<Acme>>, Path(id): Path<String>) -> Result<Response, AcmeError> {
    let window = acme.renewal_window(&id)?;
    let view = json!({"suggestedWindow": {"start": rfc3339(window.opens), "end": rfc3339(window.closes)}});
    Ok(([(RETRY_AFTER, ASK_AGAIN)], Json(view)).into_response())
}
