//! `POST /api/v1/certificate_authorities/{id}/certificate`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::shown;
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::{Error, invalid};
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Upload {
    #[serde(default)]
    certificate_chain: String,
}

pub(in crate::api::notary) async fn upload(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Upload { certificate_chain }): Body<Upload>,
) -> Result<Done, Error> {
    if certificate_chain.is_empty() {
        return Err(Error::bad("invalid request: certificate_chain is required"));
    }
    let number = shown(&notary, &permitted, id)?.number;
    notary.upload_authority(&permitted, number, &certificate_chain).await.map_err(invalid)?;
    Ok(Done(StatusCode::CREATED))
}
