//! `PUT /api/v1/acme_servers/{id}/active`

use axum::extract::State;
use axum::response::IntoResponse;

use super::View;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn activate(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<impl IntoResponse, Error> {
    Ok(Data(View::from(notary.activate_notary_server(&permitted, id).await?)))
}
