//! `DELETE /api/v1/acme_servers/{id}`

use axum::extract::State;
use http::StatusCode;

use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn remove(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<StatusCode, Error> {
    notary.remove_notary_server(&permitted, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
