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

use super::route::Routes;
use crate::config::Switch;
use crate::service::acme::Acme;
use crate::service::acme::accounts::HOW_TO_AGREE;
use crate::service::acme::error::AcmeError;
use crate::service::peer::Peer;
use crate::service::rights::Permission::{self, ActInAcme, OpenAcmeAccount, ReadPublic};

/// Every route of the surface: `/directory` and `/acme/…`. Who acts is proved by a JWS in the body, or
/// nobody need be.
pub fn routes(acme: Arc<Acme>) -> Routes<Arc<Acme>> {
    let plain = acme.services().acme.orders.upki_forms;
    let frame_state = acme.clone();
    let (get, post) = (&[Method::GET][..], &[Method::POST][..]);
    let get_too = match plain {
        Switch::Off => post,
        Switch::On => &[Method::GET, Method::POST],
    };
    let nonce = axum::routing::get(async || StatusCode::NO_CONTENT).head(async || StatusCode::OK);
    let any_method = any(async || AcmeError::NotFound("resource"));
    let renewal_info = format!("{}/{{id}}", urls::RENEWAL_INFO);
    let routes = Routes::new(acme)
        .unguarded(get, "/directory", ReadPublic, get_only(directory::show))
        .unguarded(get, urls::DIRECTORY, ReadPublic, get_only(directory::show))
        .unguarded(get, urls::NEW_NONCE, ReadPublic, nonce.fallback(refuse("GET, HEAD")))
        .unguarded(post, urls::NEW_ACCOUNT, OpenAcmeAccount, post_only(account::create))
        .unguarded(post, "/acme/account/{id}", ActInAcme, post_only(account::update))
        .unguarded(post, "/acme/account/{id}/orders", ActInAcme, post_only(account::orders))
        .unguarded(post, urls::KEY_CHANGE, ActInAcme, post_only(key_change::change))
        .unguarded(get, HOW_TO_AGREE, ReadPublic, get_only(terms::show))
        .unguarded(post, urls::NEW_ORDER, ActInAcme, post_only(order::create))
        .unguarded(get_too, "/acme/order/{id}", ActInAcme, or_get(plain, post_only(order::show), upki::show_order))
        .unguarded(post, "/acme/order/{id}/finalize", ActInAcme, post_only(order::finalize))
        .unguarded(post, urls::NEW_AUTHORIZATION, ActInAcme, post_only(authorization::create))
        .unguarded(
            get_too,
            "/acme/authorization/{id}",
            ActInAcme,
            or_get(plain, post_only(authorization::update), upki::show_authorization),
        )
        .unguarded(post, "/acme/challenge/{id}/{method}", ActInAcme, post_only(challenge::respond))
        .unguarded(post, "/acme/chall/{id}", ActInAcme, post_only(challenge::respond_by_id))
        .unguarded(
            get_too,
            "/acme/certificate/{id}",
            ActInAcme,
            or_get(plain, post_only(certificate::show), upki::show_certificate),
        )
        .unguarded(post, "/acme/certificate/{id}/{chain}", ActInAcme, post_only(certificate::alternate))
        .unguarded(
            get_too,
            "/acme/cert/{id}",
            ActInAcme,
            or_get(plain, post_only(certificate::show), upki::show_certificate),
        )
        .unguarded(get, &renewal_info, ReadPublic, get_only(renewal_info::show))
        .unguarded(post, urls::REVOKE, Permission::Revoke, post_only(revoke::revoke))
        .unguarded(&[], "/acme/{*rest}", ReadPublic, any_method);
    let routes = match plain {
        Switch::Off => routes,
        Switch::On => {
            let show = get_only(upki::show_key_authorization);
            routes.unguarded(get, "/.well-known/acme-challenge/{token}", ReadPublic, show)
        }
    };
    routes.around(|router| router.layer(from_fn_with_state(frame_state, frame)))
}

/// The surface alone, for its tests.
#[cfg(test)]
pub(crate) fn router(acme: Arc<Acme>) -> axum::Router {
    routes(acme).into_router()
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
