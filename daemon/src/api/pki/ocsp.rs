//! `/ocsp`: POST, and GET in the way of RFC 6960 appendix A.1 with the headers of RFC 5019 section 6.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::artefact::Artefact;
use crate::api::route::Public;
use crate::problem::Problem;
use crate::service::Services;
use crate::service::ocsp::Answer;
use crate::service::rights::Permission::ReadPublic;

pub(super) fn routes(services: Arc<Services>) -> Public {
    // Base64 has slashes, so the path is read as it was sent.
    Public::new(services)
        .unguarded(&[Method::POST], "/ocsp", ReadPublic, post(posted))
        .unguarded(&[Method::POST], "/ocsp/", ReadPublic, post(posted))
        .unguarded(&[Method::GET], "/ocsp/{*request}", ReadPublic, get(got))
}

async fn posted(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(REQUEST) {
        return Err(Problem::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send the request as `{REQUEST}`")));
    }
    let Answer { der, .. } = services.ocsp(&body).await;
    // Caches do not keep what was posted.
    Ok(([(CONTENT_TYPE, RESPONSE)], Body::from(der)).into_response())
}

async fn got(State(services): State<Arc<Services>>, headers: HeaderMap, uri: Uri) -> Response {
    let text = uri.path().strip_prefix("/ocsp/").unwrap_or_default();
    let Answer { der, fresh } = services.ocsp_in_path(text).await;
    let Some((this_update, next_update)) = fresh else {
        return ([(CONTENT_TYPE, RESPONSE), (CACHE_CONTROL, "no-store")], Body::from(der)).into_response();
    };
    let left = next_update.0.saturating_sub(services.clock.now().0);
    let artefact = Artefact {
        media_type: RESPONSE,
        // Two answers of one second about one certificate say the same.
        tag: format!("{:x}-{:08x}", this_update.0, crc32fast::hash(&der)),
        made: this_update,
        expires: next_update,
        max_age: left.min(LONGEST),
    };
    artefact.answer(&headers, || Body::from(der))
}

const REQUEST: &str = "application/ocsp-request";
const RESPONSE: &str = "application/ocsp-response";

/// How long a cache may keep an answer without asking, in seconds: it hides a revocation for that long.
const LONGEST: u64 = 3600;
