//! `http-01/{id}/solve` and `dns-01/{id}/solve`: the client has done its part, and the names are looked at
//! now.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use policy::evidence::Method;
use serde::Deserialize;

use super::error::Error;
use super::{answer, body};
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::CertMaker;

/// Where the file is served; 0 is port 80.
#[derive(Default, Deserialize)]
struct Solution {
    #[serde(default)]
    challenge_port: Option<u16>,
}

pub(super) async fn http01(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Error> {
    let solution = match body.trim_ascii() {
        [] => Solution::default(),
        json => body::read(json)?,
    };
    solve(&certmaker, &permitted, &id, Method::CertMakerHttp01, solution.challenge_port.unwrap_or_default()).await
}

pub(super) async fn http01_by_get(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    solve(&certmaker, &permitted, &id, Method::CertMakerHttp01, 0).await
}

pub(super) async fn dns01(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    solve(&certmaker, &permitted, &id, Method::CertMakerDns01, 0).await
}

async fn solve(
    certmaker: &CertMaker,
    permitted: &PermittedOwn<OrderCertificate>,
    id: &str,
    method: Method,
    port: u16,
) -> Result<Response, Error> {
    Ok(answer::issued(&certmaker.solve(permitted, id, method, port).await?))
}
