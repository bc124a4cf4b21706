//! `/health`: whether the process works, and whether it can issue; and why not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use http::{Method, StatusCode};

use super::route::Public;
use crate::service::Services;
use crate::service::health::Health;
use crate::service::rights::Permission::ReadPublic;

/// `/health` always answers 200 with the whole picture, `/health/live` 200 while the process works,
/// `/health/ready` 200 or 503.
pub fn routes(services: Arc<Services>) -> Public {
    Public::new(services)
        .unguarded(&[Method::GET], "/health", ReadPublic, get(whole))
        .unguarded(&[Method::GET], "/health/live", ReadPublic, get(whole))
        .unguarded(&[Method::GET], "/health/ready", ReadPublic, get(ready))
}

async fn whole(State(services): State<Arc<Services>>) -> Json<Health> {
    Json(services.health())
}

async fn ready(State(services): State<Arc<Services>>) -> (StatusCode, Json<Health>) {
    let health = services.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}
