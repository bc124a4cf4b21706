//! `certificate/{serial}/obtain` and `privatekey/{serial}/obtain`: what `certificate/request` made. The key
//! is there once, for minutes.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::error::Error;
use super::revoke::serial;
use super::root::PEM;
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::CertMaker;

pub(super) async fn certificate(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Path(number): Path<String>,
) -> Result<Response, Error> {
    let pem = certmaker.certificate(&permitted, serial(&number)?)?;
    Ok(([(CONTENT_TYPE, PEM)], pem).into_response())
}

pub(super) async fn private_key(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Path(number): Path<String>,
) -> Result<Response, Error> {
    let key = certmaker.private_key(&permitted, serial(&number)?)?;
    // Wiped when it is sent.
    Ok(([(CONTENT_TYPE, PEM)], Body::from(Bytes::from_owner(Octets(key.to_pem())))).into_response())
}

struct Octets(zeroize::Zeroizing<String>);

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
