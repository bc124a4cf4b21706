//! `DELETE /api/v1/certificate_requests/{id}`

use axum::extract::State;
use http::StatusCode;

use crate::api::access::{Approve, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn remove(
    permitted: Permitted<Approve>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    notary.delete_notary_request(&permitted, id).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
