//! Revocation (RFC 8555 section 7.6).

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::jws;
use super::request::{ByAccount, ByEither, ByKey};
use crate::config::Switch;
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::acme::revoke::Requester;

#[derive(Deserialize)]
pub(super) struct RevokeBody {
    pub(super) certificate: String,
    reason: Option<i64>,
}

pub(super) async fn revoke(State(acme): State<Arc<Acme>>, by: ByEither) -> Result<StatusCode, AcmeError> {
    let (requester, payload, request) = match by {
        ByEither::Account(ByAccount { account, payload, request, .. }) => {
            (Requester::Account(account), payload, request)
        }
        ByEither::Key(ByKey { key, payload, .. }, request) => (Requester::CertificateKey(key), payload, request),
    };
    let body: RevokeBody = payload.json()?;
    let mut certificate = jws::decode("certificate", &body.certificate)?;
    // uPKI's command line sends the PEM text where DER belongs.
    if acme.services().acme.orders.upki_forms == Switch::On
        && let Ok(("CERTIFICATE", der)) = der::pem::decode_vec(certificate.trim_ascii())
    {
        certificate = der;
    }
    acme.revoke(requester, &certificate, body.reason, request).await?;
    Ok(StatusCode::OK)
}
