//! The CertMaker dialect, `/api/v1/…`: its paths, JSON and status codes, over the service layer. What
//! differs from CertMaker, and why, is in `docs/divergences/certmaker.md`.
//!
//! Everything but OCSP takes an API token as `X-Auth-Token`.

mod access;
mod answer;
mod body;
mod csr;
mod download;
mod error;
mod legacy;
mod ocsp;
mod revoke;
mod root;
mod simple;
mod solve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};

use crate::api::route::Routes;
use crate::service::certmaker::CertMaker;
use crate::service::peer::Peer;
use crate::service::rights::Permission::ReadPublic;

pub use error::present;

/// Every route of the surface.
pub fn routes(certmaker: CertMaker) -> Routes<CertMaker> {
    let state = certmaker.clone();
    Routes::new(certmaker)
        .get("/api/v1/root-certificate/obtain", root::show)
        .post_with_key("/api/v1/certificate/request", legacy::request)
        .post_with_key("/api/v1/certificate/request-with-simplerequest", simple::request)
        .post_with_key("/api/v1/certificate/request-with-csr", csr::request)
        // The server takes POST for one and GET for the other, its clients send GET for both.
        .get_with_key("/api/v1/http-01/{id}/solve", solve::http01_by_get)
        .post_with_key("/api/v1/http-01/{id}/solve", solve::http01)
        .get_with_key("/api/v1/dns-01/{id}/solve", solve::dns01)
        .post_with_key("/api/v1/dns-01/{id}/solve", solve::dns01)
        .post("/api/v1/certificate/revoke", revoke::by_body)
        .post("/api/v1/certificate/{serial}/revoke", revoke::by_path)
        .get("/api/v1/certificate/{serial}/obtain", download::certificate)
        .get("/api/v1/privatekey/{serial}/obtain", download::private_key)
        .unguarded(&[Method::POST], "/api/v1/ocsp", ReadPublic, post(ocsp::posted))
        .unguarded(&[Method::POST], "/api/v1/ocsp/", ReadPublic, post(ocsp::posted))
        // Base64 has slashes, so the path is read as it was sent.
        .unguarded(&[Method::GET], "/api/v1/ocsp/{*request}", ReadPublic, get(ocsp::got))
        .around(|router| {
            router
                .method_not_allowed_fallback(async || error::Error::not_allowed())
                .route("/api/v1/{*rest}", any(async || error::Error::missing("there is nothing at this path")))
                .layer(from_fn_with_state(state, frame))
        })
}

/// What every request and answer has in common.
async fn frame(State(certmaker): State<CertMaker>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Arc<Peer>>().and_then(|peer| peer.address());
    let services = certmaker.services();
    let mut response = match services.limits.request(from, services.clock.now()) {
        Ok(()) => next.run(request).await,
        Err(limit) => error::Error::from(limit).into_response(),
    };
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
