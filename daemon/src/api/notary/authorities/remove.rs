//! `DELETE /api/v1/certificate_authorities/{id}`: it signs no certificate any more, and is not shown.

use axum::extract::State;
use http::StatusCode;

use super::shown;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn remove(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    let number = shown(&notary, &permitted, id)?.number;
    notary.retire_authority(&permitted, number).await?;
    Ok(Done(StatusCode::OK))
}
