//! `/ca/…`: CA certificates.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use crate::api::route::Public;
use crate::problem::Problem;
use crate::service::Services;
use crate::service::ca::CaCertificate;
use crate::service::rights::Permission::ReadPublic;

/// Each certificate as `.crt` (DER, RFC 2585 section 3), as `.pem`, and as `.p7c` (certs-only CMS, RFC
/// 5280 section 4.2.2.1), under its name and under its key identifier, where the certificates that
/// it issued point.
///
/// Authorities come and go while the daemon runs, so that theirs are looked up.
pub(super) fn routes(services: Arc<Services>) -> Public {
    let certificates = services.ca_certificates();
    let mut routes = Public::new(services).unguarded(&[Method::GET], "/ca/{file}", ReadPublic, get(of_authority));
    // A root that issues is there once.
    let mut taken = BTreeSet::new();
    for certificate in certificates {
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

async fn of_authority(State(services): State<Arc<Services>>, Path(file): Path<String>) -> Result<Response, Problem> {
    let missing = || Problem::plain(StatusCode::NOT_FOUND, "there is no such CA certificate");
    let (name, suffix) = file.rsplit_once('.').ok_or_else(missing)?;
    let certificate = services.authority_certificate(name).ok_or_else(missing)?;
    let (media_type, bytes) = match suffix {
        "crt" => (DER, certificate.der),
        "pem" => (PEM, certificate.pem.into_bytes()),
        "p7c" => (P7C, certificate.p7c()),
        _ => return Err(missing()),
    };
    Ok(served(media_type, bytes.into()).await.into_response())
}

async fn served(media_type: &'static str, bytes: Arc<[u8]>) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], bytes.to_vec())
}

const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";
const P7C: &str = "application/pkcs7-mime";
