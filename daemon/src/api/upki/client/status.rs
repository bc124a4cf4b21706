//! `GET client/status`: how the certificate that the client shows stands.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use serde::Serialize;

use super::super::Upki;
use super::super::answer::{Data, Number};
use super::super::error::Error;
use super::super::listed;
use super::super::public::ocsp;
use crate::api::access::{ListCertificates, PermittedOwn};
use crate::service::named::{Standing, Status};
use crate::service::peer::Peer;

#[derive(Serialize)]
pub(in super::super) struct View {
    dn: String,
    serial: Number,
    status: &'static str,
    ocsp: ocsp::View,
}

pub(in super::super) async fn show(
    permitted: PermittedOwn<ListCertificates>,
    State(upki): State<Upki>,
    Extension(peer): Extension<Arc<Peer>>,
) -> Result<Data<View>, Error> {
    let certificate = super::shown(&upki, &permitted, &peer)?;
    let (serial, standing) = (certificate.serial, upki.standing(&certificate));
    Ok(Data(View {
        dn: listed::dn(&certificate),
        serial: Number(serial),
        status: match standing {
            Standing::Expired => "expired",
            Standing::Good => "valid",
            Standing::Revoked(..) => "revoked",
        },
        ocsp: Status { serial, common_name: certificate.called(), standing }.into(),
    }))
}
