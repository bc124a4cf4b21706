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

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};

use crate::api::route::Routes;
use crate::service::Services;
use crate::service::peer::Peer;
use crate::service::rights::Permission;

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
pub fn routes(services: Arc<Services>) -> Routes<Upki> {
    let upki = Upki(services);
    let anybody = |routes: Routes<Upki>, method: Method, path: &str, handler: MethodRouter<Upki>| {
        routes.unguarded(&[method], path, Permission::ReadPublic, handler)
    };
    // The real server has the public part at the root, its documentation below `public`.
    let routes = ["/api/v1", "/api/v1/public"].into_iter().fold(Routes::new(upki.clone()), |routes, base| {
        let at = |path: &str| format!("{base}{path}");
        let routes = anybody(routes, Method::GET, &at("/health"), get(public::health::show));
        let routes = anybody(routes, Method::GET, &at("/ca"), get(public::ca::show));
        let routes = anybody(routes, Method::GET, &at("/crl"), get(public::crl::show));
        let routes = anybody(routes, Method::GET, &at("/profiles"), get(public::profiles::list));
        let routes = anybody(routes, Method::GET, &at("/profiles/{name}"), get(public::profiles::show));
        let routes = anybody(routes, Method::GET, &at("/magic/{profile}"), get(public::magic::show));
        let routes = anybody(routes, Method::POST, &at("/ocsp"), post(public::ocsp::check));
        routes
            .post_with_key(&at("/certify"), public::certify::certify)
            .get(&at("/certs"), public::certs::list)
            .get(&at("/certs/{*node}"), public::certs::show)
    });
    routes
        .get("/api/v1/private/nodes", private::nodes::list)
        .post_with_key("/api/v1/private/nodes", private::nodes::register)
        .delete("/api/v1/private/nodes/{*cn}", private::nodes::remove)
        .get("/api/v1/private/admins", private::admins::list)
        .post("/api/v1/private/admins", private::admins::add)
        .delete("/api/v1/private/admins/{*dn}", private::admins::remove)
        .post_with_key("/api/v1/private/crl/generate", private::crl::generate)
        .get("/api/v1/private/config", private::config::show)
        .get("/api/v1/private/options", private::options::show)
        .post_with_key("/api/v1/client/renew", client::renew::renew)
        .post("/api/v1/client/revoke", client::revoke::revoke)
        .get("/api/v1/client/certificate", client::certificate::show)
        .get("/api/v1/client/status", client::status::show)
        .around(|router| {
            router
                .method_not_allowed_fallback(async || error::not_allowed())
                .route("/api/v1/{*rest}", any(async || error::Error::missing()))
                .layer(from_fn_with_state(upki, frame))
        })
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
