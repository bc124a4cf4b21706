//! `POST /api/v1/certificate_requests/{id}/certificate/revoke`

use axum::extract::State;
use http::StatusCode;

use crate::api::access::{Permitted, Revoke};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn revoke(
    permitted: Permitted<Revoke>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    notary.revoke_notary_request(&permitted, id).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
