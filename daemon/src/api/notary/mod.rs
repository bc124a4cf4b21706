//! The Notary dialect, `/api/v1/…` and `/login`: its paths, envelopes, texts and status codes, over the service
//! layer. Both generations of its contract are answered at once. What differs from Notary, and why, is in
//! `docs/divergences/notary.md`.

mod access;
mod accounts;
mod acme_servers;
mod answer;
mod authorities;
mod body;
mod certificate_requests;
mod config;
mod error;
mod login;
mod metrics;
mod number;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};

use certificate_requests as requests;

use super::route::Routes;
use crate::service::Services;
use crate::service::peer::Peer;
use crate::service::rights::Permission::ReadPublic;

pub use error::present;

/// What the handlers work on.
#[derive(Clone)]
pub struct Notary(Arc<Services>);

impl std::ops::Deref for Notary {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Every route of the surface.
pub fn routes(services: Arc<Services>) -> Routes<Notary> {
    let notary = Notary(services);
    Routes::new(notary.clone())
        .unguarded(&[Method::GET], "/status", ReadPublic, get(status::show))
        .unguarded(&[Method::GET], "/metrics", ReadPublic, get(metrics::show))
        .unguarded(&[Method::GET], "/api/v1/certificate_authorities/{id}/crl", ReadPublic, get(authorities::crl::show))
        .with_key()
        .post("/login", login::login)
        .post("/logout", login::logout)
        .get("/api/v1/accounts", accounts::list::list)
        .post("/api/v1/accounts", accounts::create::create)
        .get("/api/v1/accounts/me", accounts::show::own)
        .post("/api/v1/accounts/me/change_password", accounts::password::own)
        .get("/api/v1/accounts/{id}", accounts::show::show)
        .delete("/api/v1/accounts/{id}", accounts::remove::remove)
        .post("/api/v1/accounts/{id}/change_password", accounts::password::change)
        .put("/api/v1/accounts/{id}/role", accounts::role::set)
        .get("/api/v1/acme_servers", acme_servers::list::list)
        .post("/api/v1/acme_servers", acme_servers::create::create)
        .get("/api/v1/acme_servers/{id}", acme_servers::show::show)
        .put("/api/v1/acme_servers/{id}", acme_servers::change::change)
        .delete("/api/v1/acme_servers/{id}", acme_servers::remove::remove)
        .put("/api/v1/acme_servers/{id}/active", acme_servers::activate::activate)
        .get("/api/v1/certificate_authorities", authorities::list::list)
        .post("/api/v1/certificate_authorities", authorities::create::create)
        .get("/api/v1/certificate_authorities/{id}", authorities::show::show)
        .put("/api/v1/certificate_authorities/{id}", authorities::set::set)
        .delete("/api/v1/certificate_authorities/{id}", authorities::remove::remove)
        .post("/api/v1/certificate_authorities/{id}/certificate", authorities::certificate::upload)
        .post("/api/v1/certificate_authorities/{id}/sign", authorities::sign::sign)
        .post("/api/v1/certificate_authorities/{id}/revoke", authorities::revoke::revoke)
        .get("/api/v1/certificate_requests", requests::list::list)
        .post("/api/v1/certificate_requests", requests::create::create)
        .get("/api/v1/certificate_requests/{id}", requests::show::show)
        .delete("/api/v1/certificate_requests/{id}", requests::remove::remove)
        .post("/api/v1/certificate_requests/{id}/certificate", requests::certificate::upload)
        .delete("/api/v1/certificate_requests/{id}/certificate", requests::certificate::remove)
        .post("/api/v1/certificate_requests/{id}/certificate/revoke", requests::revoke::revoke)
        .post("/api/v1/certificate_requests/{id}/reject", requests::reject::reject)
        .post("/api/v1/certificate_requests/{id}/sign", requests::sign::sign)
        .get("/api/v1/config", config::show)
        .around(|router| {
            router
                .method_not_allowed_fallback(async || error::Error::not_allowed())
                .route("/api/v1/{*rest}", any(async || error::Error::missing()))
                .layer(from_fn_with_state(notary, frame))
        })
}

/// What every request and answer has in common.
async fn frame(State(notary): State<Notary>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Arc<Peer>>().and_then(|peer| peer.address());
    let mut response = match notary.limits.request(from, notary.clock.now()) {
        Ok(()) => next.run(request).await,
        Err(limit) => error::Error::from(limit).into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
