//! `GET /api/v1/certificate_authorities/{id}`

use axum::extract::State;
use axum::response::IntoResponse;

use super::{View, shown};
use crate::api::access::{Permitted, ReadStatus};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn show(
    permitted: Permitted<ReadStatus>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<impl IntoResponse, Error> {
    let authority = shown(&notary, &permitted, id)?;
    Ok(Data(View::new(&notary, authority).await?))
}
