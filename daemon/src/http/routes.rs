//! Which router carries which surface.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;

use super::sealed::gate;
use crate::api;
use crate::config::Surface;
use crate::problem::Problem;
use crate::service::Services;

/// What one listener serves.
pub fn routes(services: &Arc<Services>, surfaces: &[Surface]) -> Router {
    surfaces.iter().fold(Router::new(), |router, surface| {
        let services = Arc::clone(services);
        router.merge(match surface {
            Surface::Acme => {
                let acme = api::acme::router(Arc::clone(&services));
                gate(acme, services, |problem| Problem { kind: ACME_ERROR.to_owned(), ..problem }.into_response())
            }
            Surface::Admin => api::admin::router(services),
            Surface::Health => api::health::router(services),
            Surface::Pki => api::pki::router(services),
        })
    })
}

/// What the local socket serves, to whoever may open it.
pub fn local(services: &Arc<Services>) -> Router {
    api::health::router(Arc::clone(services)).merge(api::metrics::router(Arc::clone(services)))
}

/// RFC 8555 section 6.7: the server failed, and not through the client's fault.
const ACME_ERROR: &str = "urn:ietf:params:acme:error:serverInternal";
