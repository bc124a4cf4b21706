//! One request: its id, its limits, its log line, and no panic that escapes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Limited;
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::ServiceExt;
use tracing::Instrument;

use super::Site;
use crate::api;
use crate::config::{Limits, Surface};
use crate::problem::{self, Problem};
use crate::service::administrators::Peer;
use crate::service::{RequestId, Services};

/// Answers one request, whatever happens.
pub(super) fn serve(
    request: Request<Incoming>,
    peer: Arc<Peer>,
    site: Site,
    services: Arc<Services>,
    limits: &Limits,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let limits = limits.clone();
    async move {
        let Ok(id) = RequestId::generate(&services.random) else {
            tracing::error!("no random bytes for a request id");
            return Ok(Problem::internal().into_response());
        };
        let begun = Instant::now();
        let surface = site.surface(request.uri().path());
        let span =
            tracing::info_span!("request", request_id = %id, method = %request.method(), path = request.uri().path());
        let mut response =
            answer(request, Arc::clone(&peer), id.clone(), site.router, &limits).instrument(span.clone()).await;
        let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == problem::MEDIA_TYPE);
        response = match surface.filter(|_| is_problem) {
            Some(Surface::CertMaker) => api::certmaker::present(response).await,
            Some(Surface::Notary) => api::notary::present(response).await,
            Some(Surface::Upki) => api::upki::present(response).await,
            _ => response,
        };
        let header = HeaderValue::from_str(id.as_str()).expect("hexadecimal digits make a header");
        response.headers_mut().insert("x-request-id", header);
        let status = response.status().as_u16();
        services.metrics.request(surface.map_or("none", Surface::name), status, begun.elapsed());
        span.in_scope(|| {
            let certificate = peer.certificate.as_ref().map(|certificate| certificate.fingerprint.as_str());
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::info!(event = "request", status, micros, from = peer.from, certificate, "answered");
        });
        Ok(response)
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: Arc<Peer>,
    id: RequestId,
    router: axum::Router,
    limits: &Limits,
) -> Response {
    if declared_length(&request).is_some_and(|length| length > limits.body as u64) {
        return too_large(limits);
    }
    let (mut head, body) = request.into_parts();
    head.extensions.insert(peer);
    head.extensions.insert(id);
    let request = Request::from_parts(head, Body::new(Limited::new(body, limits.body)));
    // A task of its own: a panic ends the task, not the connection, and a client that goes away
    // does not leave work half done.
    let work = async move { router.oneshot(request).await }.in_current_span();
    let outcome = tokio::spawn(tokio::time::timeout(limits.request_timeout, work)).await;
    match outcome {
        Ok(Ok(Ok(response))) => presentable(response, limits),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_)) => {
            tracing::warn!("the request took too long");
            Problem::unavailable("the request took too long: try again").into_response()
        }
        Err(panic) => {
            tracing::error!(%panic, "a handler failed: this is a defect, please report it");
            Problem::internal().into_response()
        }
    }
}

/// Gives an error that came without a problem document (no such route, wrong method, a body over
/// the limit) one, and keeps its headers, of which `Allow` is one.
fn presentable(response: Response, limits: &Limits) -> Response {
    let status = response.status();
    let plain = response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let problem = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::plain(status, "this method is not allowed here: the Allow header lists those that are")
        }
        StatusCode::NOT_FOUND => Problem::plain(status, "there is nothing at this path"),
        StatusCode::PAYLOAD_TOO_LARGE => return too_large(limits),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::plain(status, "send the body with the Content-Type that this path expects")
        }
        _ if status.is_server_error() => Problem::internal(),
        _ => Problem::plain(status, "the request cannot be understood"),
    };
    let mut headers = response.headers().clone();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    let mut presented = problem.into_response();
    presented.headers_mut().extend(headers);
    presented
}

fn declared_length(request: &Request<Incoming>) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limits: &Limits) -> Response {
    let detail = format!("the body is larger than the {} bytes allowed here", limits.body);
    Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response()
}
