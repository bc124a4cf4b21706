//! `POST certificate/request-with-csr`: a CSR as the body, DER, or PEM as people have it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;

use super::answer;
use super::error::Error;
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::{Asked, CertMaker, Key, USUAL_DAYS};
use crate::service::issue::WantedKey;
use crate::service::peer::Peer;

pub(super) async fn request(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Extension(peer): Extension<Arc<Peer>>,
    body: Bytes,
) -> Result<Response, Error> {
    if body.len() > MAX_CSR {
        return Err(Error::invalid(format!("could not parse request body: a CSR has at most {MAX_CSR} octets")));
    }
    let WantedKey::Csr(csr) = WantedKey::csr(&body).map_err(|why| unread(&why))? else {
        return Err(Error::internal("a CSR was read as something else"));
    };
    let asked = Asked {
        names: csr.names().to_vec(),
        common_name: csr.common_name().map(str::to_owned),
        days: USUAL_DAYS,
        key: Key::Csr(csr.der().to_vec()),
    };
    let answer = certmaker.order(&permitted, peer.address(), asked).await?;
    Ok(answer::of_request(answer, ""))
}

fn unread(why: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("could not parse request body: {why}"))
}

/// Longest CSR, in octets: enough for an RSA key of 4096 bits and a hundred names.
const MAX_CSR: usize = 16 * 1024;
