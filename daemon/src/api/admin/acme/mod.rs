//! `/admin/v1/acme/…`: ACME as administrators see it.

pub mod accounts;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::service::acme::Acme;

/// Every route below `/admin/v1/acme`. Each handler demands a permission before it reads a body.
pub fn router(acme: Arc<Acme>) -> Router {
    Router::new()
        .route("/admin/v1/acme/accounts", get(accounts::list))
        .route("/admin/v1/acme/accounts/{account}", get(accounts::show))
        .with_state(acme)
}
