//! `POST /api/v1/certificate_requests/{id}/sign`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use crate::api::access::{Approve, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Order {
    #[serde(default)]
    certificate_authority_id: String,
    #[serde(default)]
    signing_method: String,
}

pub(in crate::api::notary) async fn sign(
    permitted: Permitted<Approve>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Order { certificate_authority_id, signing_method }): Body<Order>,
) -> Result<Done, Error> {
    match signing_method.as_str() {
        "" | "ca" => {}
        "acme" => return Err(Error::unavailable("ACME is not configured")),
        _ => return Err(Error::bad("invalid signing_method: must be 'ca' or 'acme'")),
    }
    let authority = certificate_authority_id.parse().map_err(|_| Error::bad("invalid certificate authority ID"))?;
    notary.sign_notary_request(&permitted, id, authority).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
