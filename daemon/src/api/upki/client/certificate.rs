//! `GET client/certificate`: the certificate that the client shows.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;

use super::super::Upki;
use super::super::answer::Data;
use super::super::error::Error;
use super::super::parsed::View;
use crate::api::access::{ListCertificates, PermittedOwn};
use crate::service::peer::Peer;

pub(in super::super) async fn show(
    permitted: PermittedOwn<ListCertificates>,
    State(upki): State<Upki>,
    Extension(peer): Extension<Arc<Peer>>,
) -> Result<Data<View>, Error> {
    Ok(Data(View::new(&upki, &super::shown(&upki, &permitted, &peer)?)?))
}
