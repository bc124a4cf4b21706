//! Certificates (RFC 8555 section 7.4.2).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::request::ByAccount;
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;

/// The default format, and the only one.
const PEM_CHAIN: &str = "application/pem-certificate-chain";

pub(super) async fn show(
    State(acme): State<Arc<Acme>>,
    Path(serial): Path<String>,
    headers: HeaderMap,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    by.payload.empty()?;
    if !accepts(&headers) {
        return Err(AcmeError::NotAcceptable);
    }
    let chain = acme.certificate_chain(&by.account, &serial)?;
    Ok(([(CONTENT_TYPE, PEM_CHAIN)], chain).into_response())
}

/// Whether the client takes the format: it does unless it names others only (RFC 9110 section 12.5.1).
fn accepts(headers: &HeaderMap) -> bool {
    let mut named =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).peekable();
    named.peek().is_none()
        || named.any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            [PEM_CHAIN, "application/*", "*/*", ""].iter().any(|good| range.eq_ignore_ascii_case(good))
        })
}
