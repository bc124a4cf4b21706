//! What relying parties fetch, over plain HTTP too, sealed or not: CA certificates (`/ca/…`), CRLs
//! (`/crl/…`) and the status of certificates (`/ocsp`).

mod artefact;
mod ca;
mod crl;
mod ocsp;

use std::sync::Arc;

use super::route::Public;
use crate::service::Services;

/// Every route of the surface.
pub fn routes(services: Arc<Services>) -> Public {
    let routes = Public::new(Arc::clone(&services));
    routes
        .merge(ca::routes(Arc::clone(&services)))
        .merge(crl::routes(Arc::clone(&services)))
        .merge(ocsp::routes(services))
}
