//! `ocsp`: RFC 6960 over POST and GET, for everybody. CertMaker demands a Content-Type even of a GET; here
//! nobody needs one.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header::CONTENT_TYPE;

use crate::service::certmaker::CertMaker;
use crate::service::ocsp::Answer;

pub(super) async fn posted(State(certmaker): State<CertMaker>, body: Bytes) -> Response {
    answered(certmaker.services().ocsp(&body).await)
}

pub(super) async fn got(State(certmaker): State<CertMaker>, uri: Uri) -> Response {
    let text = uri.path().strip_prefix("/api/v1/ocsp/").unwrap_or_default();
    answered(certmaker.services().ocsp_in_path(text).await)
}

fn answered(answer: Answer) -> Response {
    ([(CONTENT_TYPE, "application/ocsp-response")], Body::from(answer.der)).into_response()
}
