//! `POST /api/v1/acme_servers`

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;

use super::{View, Wish};
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::body::Body;
use crate::api::notary::error::{Error, invalid};

pub(in crate::api::notary) async fn create(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Body(wish): Body<Wish>,
) -> Result<impl IntoResponse, Error> {
    let (settings, variables) = wish.taken_apart();
    let added = notary.add_notary_server(&permitted, settings, variables.unwrap_or_default()).await;
    Ok((StatusCode::CREATED, Data(View::from(added.map_err(invalid)?))))
}
