//! ACME (RFC 8555): one small file per kind of resource. Each handler receives an authenticated
//! request, calls one function of `service::acme`, and renders.

mod account;
mod authorization;
pub mod bodies;
mod certificate;
mod challenge;
mod directory;
pub mod jws;
mod key_change;
mod order;
mod problem;
mod renewal_info;
mod request;
mod revoke;
mod terms;
mod time;
mod upki;
mod urls;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, LINK,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::config::Switch;
use crate::service::acme::Acme;
use crate::service::acme::accounts::HOW_TO_AGREE;
use crate::service::acme::error::AcmeError;
use crate::service::peer::Peer;

/// Every route of the surface: `/directory` and `/acme/…`.
pub fn router(acme: Arc<Acme>) -> Router {
    let plain = acme.services().acme.orders.upki_forms;
    let router = Router::new()
        .route("/directory", get_only(directory::show))
        .route(urls::DIRECTORY, get_only(directory::show))
        .route(
            urls::NEW_NONCE,
            get(async || StatusCode::NO_CONTENT).head(async || StatusCode::OK).fallback(refuse("GET, HEAD")),
        )
        .route(urls::NEW_ACCOUNT, post_only(account::create))
        .route("/acme/account/{id}", post_only(account::update))
        .route("/acme/account/{id}/orders", post_only(account::orders))
        .route(urls::KEY_CHANGE, post_only(key_change::change))
        .route(HOW_TO_AGREE, get_only(terms::show))
        .route(urls::NEW_ORDER, post_only(order::create))
        .route("/acme/order/{id}", or_get(plain, post_only(order::show), upki::show_order))
        .route("/acme/order/{id}/finalize", post_only(order::finalize))
        .route(urls::NEW_AUTHORIZATION, post_only(authorization::create))
        .route("/acme/authorization/{id}", or_get(plain, post_only(authorization::update), upki::show_authorization))
        .route("/acme/challenge/{id}/{method}", post_only(challenge::respond))
        .route("/acme/chall/{id}", post_only(challenge::respond_by_id))
        .route("/acme/certificate/{id}", or_get(plain, post_only(certificate::show), upki::show_certificate))
        .route("/acme/certificate/{id}/{chain}", post_only(certificate::alternate))
        .route("/acme/cert/{id}", or_get(plain, post_only(certificate::show), upki::show_certificate))
        .route(&format!("{}/{{id}}", urls::RENEWAL_INFO), get_only(renewal_info::show))
        .route(urls::REVOKE, post_only(revoke::revoke))
        .route("/acme/{*rest}", any(async || AcmeError::NotFound("resource")));
    let router = match plain {
        Switch::Off => router,
        Switch::On => router.route("/.well-known/acme-challenge/{token}", get_only(upki::show_key_authorization)),
    };
    router.layer(from_fn_with_state(acme.clone(), frame)).with_state(acme)
}

/// What every request and answer has in common.
async fn frame(State(acme): State<Arc<Acme>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path();
    let (is_directory, is_nonce) = (path.ends_with("/directory"), path == urls::NEW_NONCE);
    let services = acme.services();
    let from = request.extensions().get::<Arc<Peer>>().and_then(|peer| peer.address());
    let admitted = || Ok(services.limits.request(from, services.clock.now())?);
    // Decided before authentication: nothing could come of the request.
    let mut response = match acme.available().and_then(|()| admitted()) {
        _ if method == Method::OPTIONS => preflight(),
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let base = &services.public_url;
    let headers = response.headers_mut();
    if method == Method::POST || (is_nonce && matches!(method, Method::GET | Method::HEAD)) {
        match acme.make_nonce() {
            Ok(nonce) => {
                headers.insert(REPLAY_NONCE, HeaderValue::try_from(nonce).expect("a nonce is base64url"));
            }
            Err(error) => tracing::error!(%error, "a nonce could not be made"),
        }
    }
    if !is_directory && let Ok(index) = HeaderValue::try_from(format!("<{base}{}>;rel=\"index\"", urls::DIRECTORY)) {
        headers.append(LINK, index);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Clients in browsers may use the surface (RFC 8555 section 6.1): nothing depends on cookies.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
        .insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Link, Location, Replay-Nonce, Retry-After"));
    response
}

/// What a browser asks before it sends a JWS for a page: `application/jose+json` is not among the
/// media types that need no question. The same for every resource, and sealed or not, so that the
/// page sees the answer to its request, whatever that is.
fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// RFC 8555 section 6.5.1
const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

fn post_only<H: Handler<T, Arc<Acme>>, T: 'static>(handler: H) -> MethodRouter<Arc<Acme>> {
    post(handler).fallback(refuse("POST"))
}

/// Adds a form that is read without a signature, where that is switched on.
fn or_get<H: Handler<T, Arc<Acme>>, T: 'static>(
    plain: Switch,
    router: MethodRouter<Arc<Acme>>,
    handler: H,
) -> MethodRouter<Arc<Acme>> {
    match plain {
        Switch::Off => router,
        Switch::On => router.get(handler),
    }
}

fn get_only<H: Handler<T, Arc<Acme>>, T: 'static>(handler: H) -> MethodRouter<Arc<Acme>> {
    get(handler).fallback(refuse("GET, HEAD"))
}

/// Answers a method that a resource does not take.
fn refuse(methods: &'static str) -> impl Handler<((),), Arc<Acme>> {
    move || async move { AcmeError::MethodNotAllowed(methods) }
}

#[cfg(test)]
mod tests;
