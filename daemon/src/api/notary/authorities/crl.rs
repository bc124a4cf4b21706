//! `GET /api/v1/certificate_authorities/{id}/crl`, for anybody, sealed or not.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Serialize)]
struct Crl {
    crl: String,
}

pub(in crate::api::notary) async fn show(
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<impl IntoResponse, Error> {
    let number = u32::try_from(id).map_err(|_| Error::missing())?;
    Ok(Data(Crl { crl: notary.authority_crl(number).await? }))
}
