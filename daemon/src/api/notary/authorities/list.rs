//! `GET /api/v1/certificate_authorities`

use axum::extract::State;
use axum::response::IntoResponse;

use super::{View, is_shown};
use crate::api::access::{Permitted, ReadStatus};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::error::Error;

pub(in crate::api::notary) async fn list(
    permitted: Permitted<ReadStatus>,
    State(notary): State<Notary>,
) -> Result<impl IntoResponse, Error> {
    let mut views = Vec::new();
    for authority in notary.authorities(&permitted)?.into_iter().filter(is_shown) {
        views.push(View::new(&notary, authority).await?);
    }
    Ok(Data(views))
}
