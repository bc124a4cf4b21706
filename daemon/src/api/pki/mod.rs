//! What relying parties fetch, over plain HTTP too, sealed or not: CA certificates (`/ca/…`), CRLs
//! (`/crl/…`) and the status of certificates (`/ocsp`).

mod artefact;
mod ca;
mod crl;
mod ocsp;

use std::sync::Arc;

use axum::Router;

use crate::service::Services;

/// Every route of the surface.
pub fn router(services: Arc<Services>) -> Router {
    ca::router(&services).merge(crl::router(Arc::clone(&services))).merge(ocsp::router(services))
}
