//! `POST /api/v1/certificate_authorities/{id}/sign`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::shown;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Order {
    #[serde(default)]
    certificate_authority_id: String,
}

pub(in crate::api::notary) async fn sign(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Order { certificate_authority_id: by }): Body<Order>,
) -> Result<Done, Error> {
    let by = by.parse().map_err(|_| Error::bad("invalid certificate authority ID"))?;
    let (number, by) = (shown(&notary, &permitted, id)?.number, shown(&notary, &permitted, by)?.number);
    notary.sign_authority(&permitted, number, by).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
