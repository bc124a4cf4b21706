//! `GET /admin/v1/ca`: the CA's own certificates.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::access::{self, Permitted};
use crate::service::Services;
use crate::service::ca;
use crate::service::peer::hex;

/// One CA certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CaCertificate {
    /// What it is called: `root`, or the label of its key.
    pub name: String,
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Issuer, RFC 4514 text.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// The certificate.
    pub pem: String,
}

pub(super) async fn show(
    _permitted: Permitted<access::ReadPublic>,
    State(services): State<Arc<Services>>,
) -> Json<Vec<CaCertificate>> {
    Json(services.ca_certificates().into_iter().map(CaCertificate::from).collect())
}

impl From<ca::CaCertificate> for CaCertificate {
    fn from(ca: ca::CaCertificate) -> Self {
        let certificate = &ca.certificate;
        Self {
            name: ca.name,
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            serial: hex(certificate.serial()),
            not_before: certificate.validity().not_before().0,
            not_after: certificate.validity().not_after().0,
            fingerprint: hex(&certificate.sha256()),
            pem: ca.pem,
        }
    }
}
