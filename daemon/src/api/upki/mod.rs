//! The uPKI dialect, `/api/v1/…`: its paths, envelope, field names and status codes, over the service
//! layer. What differs from uPKI, and why, is in `docs/divergences/upki.md`.
//!
//! ```text
//! /api/v1/public/…  /api/v1/…    anybody
//! /api/v1/private/…              administrators, by certificate
//! /api/v1/client/…               holders of any certificate of this CA
//! ```

mod access;
mod answer;
mod body;
mod client;
mod error;
mod issued;
mod listed;
mod name;
mod parsed;
mod private;
mod profile;
mod public;
mod query;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::service::Services;
use crate::service::peer::Peer;

pub use error::present;

/// What the handlers work on.
#[derive(Clone)]
pub struct Upki(Arc<Services>);

impl std::ops::Deref for Upki {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Every route of the surface.
pub fn router(services: Arc<Services>) -> Router {
    let upki = Upki(services);
    let router = Router::new();
    // The real server has the public part at the root, its documentation below `public`.
    let router = ["/api/v1", "/api/v1/public"].into_iter().fold(router, |router, base| {
        let at = |path: &str| format!("{base}{path}");
        router
            .route(&at("/health"), get_only(public::health::show))
            .route(&at("/ca"), get_only(public::ca::show))
            .route(&at("/crl"), get_only(public::crl::show))
            .route(&at("/profiles"), get_only(public::profiles::list))
            .route(&at("/profiles/{name}"), get_only(public::profiles::show))
            .route(&at("/certify"), post_only(public::certify::certify))
            .route(&at("/certs"), get_only(public::certs::list))
            .route(&at("/certs/{*node}"), get_only(public::certs::show))
            .route(&at("/magic/{profile}"), get_only(public::magic::show))
            .route(&at("/ocsp"), post_only(public::ocsp::check))
    });
    router
        .route(
            "/api/v1/private/nodes",
            get(private::nodes::list).post(private::nodes::register).fallback(refuse("GET, HEAD, POST")),
        )
        .route("/api/v1/private/nodes/{*cn}", delete(private::nodes::remove).fallback(refuse("DELETE")))
        .route(
            "/api/v1/private/admins",
            get(private::admins::list).post(private::admins::add).fallback(refuse("GET, HEAD, POST")),
        )
        .route("/api/v1/private/admins/{*dn}", delete(private::admins::remove).fallback(refuse("DELETE")))
        .route("/api/v1/private/crl/generate", post_only(private::crl::generate))
        .route("/api/v1/private/config", get_only(private::config::show))
        .route("/api/v1/private/options", get_only(private::options::show))
        .route("/api/v1/client/renew", post_only(client::renew::renew))
        .route("/api/v1/client/revoke", post_only(client::revoke::revoke))
        .route("/api/v1/client/certificate", get_only(client::certificate::show))
        .route("/api/v1/client/status", get_only(client::status::show))
        .route("/api/v1/{*rest}", any(async || error::Error::missing()))
        .layer(from_fn_with_state(upki.clone(), frame))
        .with_state(upki)
}

/// What every request and answer has in common.
async fn frame(State(upki): State<Upki>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Arc<Peer>>().and_then(|peer| peer.address());
    let mut response = match upki.limits.request(from, upki.clock.now()) {
        Ok(()) => next.run(request).await,
        Err(limit) => error::Error::from(limit).into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn get_only<H: Handler<T, Upki>, T: 'static>(handler: H) -> MethodRouter<Upki> {
    get(handler).fallback(refuse("GET, HEAD"))
}

fn post_only<H: Handler<T, Upki>, T: 'static>(handler: H) -> MethodRouter<Upki> {
    post(handler).fallback(refuse("POST"))
}

/// Answers a method that a path does not take.
fn refuse(methods: &'static str) -> impl Handler<((),), Upki> {
    move || async move { error::not_allowed(methods) }
}
