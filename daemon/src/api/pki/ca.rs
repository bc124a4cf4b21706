//! `/ca/…`: CA certificates.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::Method;
use http::header::CONTENT_TYPE;

use crate::api::route::Routes;
use crate::service::Services;
use crate::service::ca::CaCertificate;
use crate::service::rights::Permission::ReadPublic;

/// Each certificate as `.crt` (DER, RFC 2585 section 3), as `.pem`, and as `.p7c` (certs-only CMS, RFC
/// 5280 section 4.2.2.1), under its name and under its key identifier, where the certificates that
/// it issued point.
pub(super) fn routes(services: &Services) -> Routes<()> {
    let mut routes = Routes::new(());
    // A root that issues is there once.
    let mut taken = BTreeSet::new();
    for certificate in services.ca_certificates() {
        let p7c = certificate.p7c();
        let CaCertificate { name, key_identifier, der, pem, .. } = certificate;
        let forms: [(&str, &'static str, Arc<[u8]>); 3] =
            [("crt", DER, der.into()), ("pem", PEM, pem.into_bytes().into()), ("p7c", P7C, p7c.into())];
        for (suffix, media_type, bytes) in forms {
            for name in [&name, &key_identifier] {
                let path = format!("/ca/{name}.{suffix}");
                if !taken.insert(path.clone()) {
                    continue;
                }
                let served = get(move |State(bytes): State<Arc<[u8]>>| served(media_type, bytes));
                let served = served.with_state(Arc::clone(&bytes));
                routes = routes.unguarded(&[Method::GET], &path, ReadPublic, served);
            }
        }
    }
    routes
}

async fn served(media_type: &'static str, bytes: Arc<[u8]>) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], bytes.to_vec())
}

const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";
const P7C: &str = "application/pkcs7-mime";
