//! `GET /metrics` for administrators; the local socket serves it to whoever may open that.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;

use crate::api::access::{self, Permitted};
use crate::service::Services;
use crate::service::metrics::MEDIA_TYPE;

pub(super) async fn show(
    _permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> impl IntoResponse {
    ([(CONTENT_TYPE, MEDIA_TYPE)], services.render_metrics())
}
