//! `/admin/v1/acme/…`: ACME as administrators see it.

pub mod accounts;
pub mod authorizations;
pub mod eab;
pub mod orders;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::service::acme::Acme;

/// Every route below `/admin/v1/acme`. Each handler demands a permission before it reads a body.
pub fn router(acme: Arc<Acme>) -> Router {
    Router::new()
        .route("/admin/v1/acme/accounts", get(accounts::list))
        .route("/admin/v1/acme/accounts/{account}", get(accounts::show))
        .route("/admin/v1/acme/accounts/{account}/bind", post(accounts::bind))
        .route("/admin/v1/acme/accounts/{account}/deactivate", post(accounts::deactivate))
        .route("/admin/v1/acme/authorizations/{authorization}", get(authorizations::show))
        .route("/admin/v1/acme/authorizations/{authorization}/deactivate", post(authorizations::deactivate))
        .route("/admin/v1/acme/eab", get(eab::list).post(eab::create))
        .route("/admin/v1/acme/eab/{key}", get(eab::show))
        .route("/admin/v1/acme/eab/{key}/revoke", post(eab::revoke))
        .route("/admin/v1/acme/orders", get(orders::list))
        .route("/admin/v1/acme/orders/{order}", get(orders::show))
        .route("/admin/v1/acme/orders/{order}/cancel", post(orders::cancel))
        .with_state(acme)
}
