//! `GET root-certificate/obtain`: the root certificate, PEM.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use policy::tbs::Certificate;

use super::error::Error;
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::CertMaker;

/// The media type that CertMaker's SDK demands.
pub(super) const PEM: &str = "application/x-pem-file";

pub(super) async fn show(
    _permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
) -> Result<Response, Error> {
    let root = Certificate::from_der(&certmaker.services().root);
    let root = root.map_err(|error| Error::internal(&format!("the root certificate is unreadable: {error}")))?;
    Ok(([(CONTENT_TYPE, PEM)], root.to_pem()).into_response())
}
