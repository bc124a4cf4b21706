//! `/health`: whether the process works, and whether it can issue; and why not.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;

use crate::service::Services;
use crate::service::health::Health;

/// `/health` always answers 200 with the whole picture, `/health/live` 200 while the process works,
/// `/health/ready` 200 or 503.
pub fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route("/health", get(whole))
        .route("/health/live", get(whole))
        .route("/health/ready", get(ready))
        .with_state(services)
}

async fn whole(State(services): State<Arc<Services>>) -> Json<Health> {
    Json(services.health())
}

async fn ready(State(services): State<Arc<Services>>) -> (StatusCode, Json<Health>) {
    let health = services.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}
