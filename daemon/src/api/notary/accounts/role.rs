//! `PUT /api/v1/accounts/{id}/role`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::role;
use crate::api::access::{ManageNotary, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Change {
    role_id: i64,
}

pub(in crate::api::notary) async fn set(
    permitted: Permitted<ManageNotary>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Change { role_id }): Body<Change>,
) -> Result<Done, Error> {
    notary.set_notary_role(&permitted, id, role(role_id)?).await?;
    Ok(Done(StatusCode::CREATED))
}
