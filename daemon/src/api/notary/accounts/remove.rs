//! `DELETE /api/v1/accounts/{id}`

use axum::extract::State;
use http::StatusCode;

use crate::api::access::{ManageNotary, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn remove(
    permitted: Permitted<ManageNotary>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    notary.remove_notary_account(&permitted, id).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
