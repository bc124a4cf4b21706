//! `GET /api/v1/certificate_requests/{id}`

use axum::extract::State;
use axum::response::IntoResponse;

use super::View;
use crate::api::access::{PermittedOwn, ReadRequests};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn show(
    permitted: PermittedOwn<ReadRequests>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<impl IntoResponse, Error> {
    Ok(Data(View::from(notary.notary_request(&permitted, id)?)))
}
