//! `POST /api/v1/certificate_requests`

use axum::extract::State;
use serde::Deserialize;

use crate::api::access::{PermittedOwn, SubmitRequest};
use crate::api::notary::Notary;
use crate::api::notary::answer::Created;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Wish {
    #[serde(default)]
    csr: String,
}

pub(in crate::api::notary) async fn create(
    permitted: PermittedOwn<SubmitRequest>,
    State(notary): State<Notary>,
    Body(Wish { csr }): Body<Wish>,
) -> Result<Created, Error> {
    if csr.is_empty() {
        return Err(Error::bad("invalid request: csr is required"));
    }
    Ok(Created(notary.submit_notary_request(&permitted, csr).await?))
}
