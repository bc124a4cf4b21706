//! `PUT /api/v1/acme_servers/{id}`

use axum::extract::State;
use axum::response::IntoResponse;

use super::{View, Wish};
use crate::api::access::{ManageAuthorities, Permitted};
use crate::api::notary::Notary;
use crate::api::notary::answer::Data;
use crate::api::notary::body::Body;
use crate::api::notary::error::{Error, invalid};
use crate::api::notary::number::Number;

pub(in crate::api::notary) async fn change(
    permitted: Permitted<ManageAuthorities>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(wish): Body<Wish>,
) -> Result<impl IntoResponse, Error> {
    let (settings, variables) = wish.taken_apart();
    let changed = notary.change_notary_server(&permitted, id, settings, variables).await;
    Ok(Data(View::from(changed.map_err(invalid)?)))
}
