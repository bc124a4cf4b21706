//! `GET /metrics` for administrators; the local socket serves it to whoever may open that.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::api::access::{self, Permitted};
use crate::api::route::{Answer, Content};
use crate::service::Services;
use crate::service::metrics::MEDIA_TYPE;

pub(super) async fn show(_permitted: Permitted<access::ReadStatus>, State(services): State<Arc<Services>>) -> Metrics {
    Metrics(services.render_metrics())
}

/// The metrics, as Prometheus reads them.
pub(super) struct Metrics(String);

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, MEDIA_TYPE)], self.0).into_response()
    }
}

impl Answer for Metrics {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        vec![(StatusCode::OK, Some(Content { media_type: MEDIA_TYPE, ..Content::json::<String>() }))]
    }
}
