//! `GET /api/v1/acme_servers`

use axum::extract::State;
use axum::response::IntoResponse;

use super::View;
use crate::api::access::{Permitted, ReadStatus};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;

pub(in crate::api::notary) async fn list(
    permitted: Permitted<ReadStatus>,
    State(notary): State<Notary>,
) -> Result<impl IntoResponse, Error> {
    let servers = notary.notary_servers(&permitted)?;
    Ok(Data(servers.into_iter().map(View::from).collect::<Vec<_>>()))
}
