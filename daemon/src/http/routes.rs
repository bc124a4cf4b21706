//! Which router carries which surface.

use std::sync::Arc;

use axum::Router;

use crate::api;
use crate::config::Surface;
use crate::service::Services;
use crate::service::acme::Acme;

/// What one listener serves. The ACME surface says itself, in its own words, that the CA is sealed.
pub fn routes(services: &Arc<Services>, acme: &Arc<Acme>, surfaces: &[Surface]) -> Router {
    surfaces.iter().fold(Router::new(), |router, surface| {
        let services = Arc::clone(services);
        router.merge(match surface {
            Surface::Acme => api::acme::router(Arc::clone(acme)),
            Surface::Admin => api::admin::router(services).merge(api::admin::acme::router(Arc::clone(acme))),
            Surface::Health => api::health::router(services),
            Surface::Pki => api::pki::router(services),
            Surface::Upki => api::upki::router(services),
        })
    })
}

/// What the local socket serves, to whoever may open it.
pub fn local(services: &Arc<Services>) -> Router {
    api::health::router(Arc::clone(services)).merge(api::metrics::router(Arc::clone(services)))
}
