//! `POST /api/v1/certificate_authorities/{id}/revoke`

use axum::extract::State;
use http::StatusCode;

use super::shown;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn revoke(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    let number = shown(&notary, &permitted, id)?.number;
    notary.revoke_authority(&permitted, number, None).await?;
    Ok(Done(StatusCode::ACCEPTED))
}
