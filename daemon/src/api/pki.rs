//! `/ca/…`: CA certificates for whoever wants them, over plain HTTP too, sealed or not.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::service::Services;
use crate::service::ca::CaCertificate;

/// Each certificate as `.crt` (DER, RFC 2585 section 3) and as `.pem`.
pub fn router(services: Arc<Services>) -> Router {
    let mut router = Router::new();
    for certificate in services.ca_certificates() {
        let name = certificate.name.clone();
        let CaCertificate { der, pem, .. } = certificate;
        router = router
            .route(
                &format!("/ca/{name}.crt"),
                get(|State(bytes): State<Arc<[u8]>>| served(DER, bytes)).with_state(der.into()),
            )
            .route(
                &format!("/ca/{name}.pem"),
                get(|State(text): State<Arc<[u8]>>| served(PEM, text)).with_state(pem.into_bytes().into()),
            );
    }
    router
}

async fn served(media_type: &'static str, bytes: Arc<[u8]>) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], bytes.to_vec())
}

const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";
