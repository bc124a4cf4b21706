//! `PUT /api/v1/certificate_authorities/{id}`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::shown;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Change {
    enabled: bool,
}

pub(in crate::api::notary) async fn set(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Change { enabled }): Body<Change>,
) -> Result<Done, Error> {
    let number = shown(&notary, &permitted, id)?.number;
    match enabled {
        true => notary.enable_authority(&permitted, number).await?,
        false => notary.disable_authority(&permitted, number).await?,
    };
    Ok(Done(StatusCode::OK))
}
