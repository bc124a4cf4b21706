//! `POST private/crl/generate`: CRLs are signed now.

use axum::extract::State;
use axum::response::Response;

use super::super::Upki;
use super::super::access::Unsealed;
use super::super::error::Error;
use super::super::public::crl;
use crate::api::access::{Permitted, Revoke};

pub(in super::super) async fn generate(
    _unsealed: Unsealed,
    permitted: Permitted<Revoke>,
    State(upki): State<Upki>,
) -> Result<Response, Error> {
    upki.publish_crls(&permitted).await?;
    crl::current(&upki).await
}
