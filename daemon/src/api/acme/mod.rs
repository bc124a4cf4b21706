//! The ACME surface, RFC 8555.

use std::sync::Arc;

use axum::Router;

use crate::service::Services;

/// `/directory` and `/acme/…`.
pub fn router(services: Arc<Services>) -> Router {
    Router::new().with_state(services)
}
