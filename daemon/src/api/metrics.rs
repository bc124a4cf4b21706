//! `/metrics` on the local socket, for whoever may open it; administrators have their own.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::service::Services;
use crate::service::metrics::MEDIA_TYPE;

/// `/metrics`
pub fn router(services: Arc<Services>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(services)
}

async fn metrics(State(services): State<Arc<Services>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, MEDIA_TYPE)], services.render_metrics())
}
