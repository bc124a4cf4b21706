//! `GET ca`: the CA's certificates, the issuing one first, the root after it.

use axum::extract::State;
use serde::Serialize;

use super::super::Upki;
use super::super::answer::Data;

#[derive(Serialize)]
pub(in super::super) struct Certificate {
    certificate: String,
}

pub(in super::super) async fn show(State(upki): State<Upki>) -> Data<Certificate> {
    Data(bundle(&upki))
}

pub(super) fn bundle(upki: &Upki) -> Certificate {
    let mut pems: Vec<String> = upki.ca_certificates().into_iter().map(|certificate| certificate.pem).collect();
    // A root that issues by itself is there once.
    pems.dedup();
    Certificate { certificate: pems.concat() }
}
