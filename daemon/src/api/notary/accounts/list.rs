//! `GET /api/v1/accounts`

use axum::extract::State;
use axum::response::IntoResponse;

use super::View;
use crate::api::access::{Permitted, ReadNotary};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;

pub(in crate::api::notary) async fn list(
    permitted: Permitted<ReadNotary>,
    State(notary): State<Notary>,
) -> Result<impl IntoResponse, Error> {
    let accounts = notary.notary_accounts(&permitted)?;
    Ok(Data(accounts.into_iter().map(View::from).collect::<Vec<_>>()))
}
