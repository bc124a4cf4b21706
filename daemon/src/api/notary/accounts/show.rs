//! `GET /api/v1/accounts/{id}` and `GET /api/v1/accounts/me`

use axum::extract::State;
use axum::response::IntoResponse;

use super::View;
use crate::api::access::{Permitted, PermittedOwn, ReadNotary, UseNotaryAccount};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn show(
    permitted: Permitted<ReadNotary>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<impl IntoResponse, Error> {
    Ok(Data(View::from(notary.notary_account(&permitted, id)?)))
}

pub(in crate::api::notary) async fn own(
    permitted: PermittedOwn<UseNotaryAccount>,
    State(notary): State<Notary>,
) -> Result<impl IntoResponse, Error> {
    Ok(Data(View::from(notary.own_notary_account(&permitted)?)))
}
