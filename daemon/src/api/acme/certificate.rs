//! Certificates (RFC 8555 section 7.4.2).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue};

use super::request::ByAccount;
use super::urls;
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;

/// The default format, and the only one.
pub(super) const PEM_CHAIN: &str = "application/pem-certificate-chain";

pub(super) async fn show(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    chain(&acme, &id, 0, &headers, by)
}

/// The same certificate with another chain.
pub(super) async fn alternate(
    State(acme): State<Arc<Acme>>,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    let number = number.parse().map_err(|_| AcmeError::NotFound("chain"))?;
    chain(&acme, &id, number, &headers, by)
}

fn chain(acme: &Acme, id: &str, number: usize, headers: &HeaderMap, by: ByAccount) -> Result<Response, AcmeError> {
    by.payload.empty()?;
    if !accepts(headers) {
        return Err(AcmeError::NotAcceptable);
    }
    let pem = acme.certificate_chain(&by.account, id, number)?;
    let mut response = ([(CONTENT_TYPE, PEM_CHAIN)], pem).into_response();
    let base = &acme.services().public_url;
    // No link `up` (section 7.1): it is for media types without the chain, and mod_md follows it.
    for other in (0..acme.chain_count()).filter(|other| *other != number) {
        let url = urls::chain(base, id, other);
        if let Ok(link) = HeaderValue::try_from(format!("<{url}>;rel=\"alternate\"")) {
            response.headers_mut().append(LINK, link);
        }
    }
    Ok(response)
}

/// Whether the client names the format.
pub(super) fn asks_for_pem(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|range| range.trim().eq_ignore_ascii_case(PEM_CHAIN))
}

/// Whether the client takes the format: it does unless it names others only (RFC 9110 section 12.5.1).
fn accepts(headers: &HeaderMap) -> bool {
    let mut named =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).peekable();
    named.peek().is_none()
        || named.any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                part.strip_prefix("q=")
                    .is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
            });
            !refused && [PEM_CHAIN, "application/*", "*/*", ""].iter().any(|good| range.eq_ignore_ascii_case(good))
        })
}
