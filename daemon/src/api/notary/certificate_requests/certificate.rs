//! `POST` and `DELETE /api/v1/certificate_requests/{id}/certificate`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use crate::api::access::{Approve, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::{Created, Done};
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Upload {
    #[serde(default)]
    certificate: String,
}

pub(in crate::api::notary) async fn upload(
    permitted: Permitted<Approve>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Upload { certificate }): Body<Upload>,
) -> Result<Created, Error> {
    if certificate.is_empty() {
        return Err(Error::bad("invalid request: certificate is required"));
    }
    notary.upload_notary_chain(&permitted, id, &certificate).await?;
    Ok(Created(id))
}

pub(in crate::api::notary) async fn remove(
    permitted: Permitted<Approve>,
    State(notary): State<Notary>,
    Number(id): Number,
) -> Result<Done, Error> {
    notary.remove_notary_chain(&permitted, id).await?;
    Ok(Done(StatusCode::OK))
}
