//! `/ca/…`: CA certificates for whoever wants them, over plain HTTP too, sealed or not.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::service::Services;
use crate::service::ca::CaCertificate;

/// Each certificate as `.crt` (DER, RFC 2585 section 3) and as `.pem`, under its name; as `.crt` also
/// under its key identifier, where the certificates that it issued point.
pub fn router(services: Arc<Services>) -> Router {
    let mut router = Router::new();
    for certificate in services.ca_certificates() {
        let CaCertificate { name, key_identifier, der, pem, .. } = certificate;
        let der: Arc<[u8]> = der.into();
        for name in [&name, &key_identifier] {
            let served = get(|State(bytes): State<Arc<[u8]>>| served(DER, bytes));
            router = router.route(&format!("/ca/{name}.crt"), served.with_state(Arc::clone(&der)));
        }
        let served = get(|State(text): State<Arc<[u8]>>| served(PEM, text));
        router = router.route(&format!("/ca/{name}.pem"), served.with_state(pem.into_bytes().into()));
    }
    router
}

async fn served(media_type: &'static str, bytes: Arc<[u8]>) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], bytes.to_vec())
}

const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";
