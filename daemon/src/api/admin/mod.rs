//! The admin surface, `/admin/v1/…`: what `signetctl` speaks, JSON over mutual TLS.
//!
//! The types here are the contract; `signetctl` reads and writes the same ones.

pub mod acme;
pub mod activation;
pub mod administrators;
pub mod ca;
pub mod certificates;
pub mod crl;
pub mod events;
pub mod explain;
pub mod issue;
pub mod limits;
pub mod metrics;
pub mod nodes;
pub mod ocsp;
pub mod profiles;
pub mod requests;
pub mod revoke;
pub mod seal;
pub mod status;
pub mod unseal;

mod body;
mod encoding;
mod failure;
mod query;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::service::Services;

/// Every route of the surface but those of [`acme::router`]. Each handler demands a permission
/// before it reads a body.
pub fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route("/admin/v1/administrators", get(administrators::list))
        .route("/admin/v1/administrators/{fingerprint}", delete(administrators::remove))
        .route("/admin/v1/ca", get(ca::show))
        .route("/admin/v1/ca/activate", post(activation::activate))
        .route("/admin/v1/ca/check", get(activation::check))
        .route("/admin/v1/certificates", get(certificates::list).post(issue::issue))
        .route("/admin/v1/certificates/export", get(certificates::export))
        .route("/admin/v1/certificates/{serial}", get(certificates::show))
        .route("/admin/v1/certificates/{serial}/revoke", post(revoke::revoke))
        .route("/admin/v1/certificates/{serial}/renew", post(issue::renew))
        .route("/admin/v1/events", get(events::list))
        .route("/admin/v1/limits", get(limits::list))
        .route("/admin/v1/limits/explain", get(limits::explain))
        .route("/admin/v1/limits/failing", get(limits::failing))
        .route("/admin/v1/limits/release", post(limits::release))
        .route("/admin/v1/certificates/act", post(revoke::act))
        .route("/admin/v1/certificates/find", post(revoke::find))
        .route("/admin/v1/crl", get(crl::show))
        .route("/admin/v1/crl/publish", post(crl::publish))
        .route("/admin/v1/nodes", get(nodes::list).post(nodes::register))
        .route("/admin/v1/nodes/{node}", get(nodes::show).put(nodes::change).delete(nodes::remove))
        .route("/admin/v1/nodes/{node}/seeds", get(nodes::seeds).post(nodes::make_seed))
        .route("/admin/v1/ocsp", get(ocsp::show))
        .route("/admin/v1/ocsp/presign", post(ocsp::presign))
        .route("/admin/v1/profiles", get(profiles::list))
        .route("/admin/v1/profiles/check", post(profiles::check))
        .route("/admin/v1/profiles/explain", post(explain::explain))
        .route("/admin/v1/profiles/{profile}", get(profiles::show))
        .route("/admin/v1/requests", get(requests::list).post(requests::create))
        .route("/admin/v1/requests/{request}", get(requests::show))
        .route("/admin/v1/requests/{request}/approve", post(requests::approve))
        .route("/admin/v1/requests/{request}/reject", post(requests::reject))
        .route("/admin/v1/seal", post(seal::seal))
        .route("/admin/v1/status", get(status::show))
        .route("/admin/v1/unseal", post(unseal::unseal))
        .route("/admin/v1/unseal/challenge", post(unseal::challenge))
        .route("/metrics", get(metrics::show))
        .with_state(services)
}
