//! `POST /api/v1/accounts/{id}/change_password` and `POST /api/v1/accounts/me/change_password`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use super::new_password;
use crate::api::access::{ManageNotary, Permitted, PermittedOwn, UseNotaryAccount};
use crate::api::notary::Notary;
use crate::api::notary::answer::Done;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::notary::number::Number;
use crate::api::secret::Secret;
use crate::service::notary::password::Password;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Change {
    #[serde(default)]
    password: Secret,
}

pub(in crate::api::notary) async fn change(
    permitted: Permitted<ManageNotary>,
    State(notary): State<Notary>,
    Number(id): Number,
    Body(Change { password }): Body<Change>,
) -> Result<Done, Error> {
    notary.set_notary_password(&permitted, id, new_password(Password::new(password.0))?).await?;
    Ok(Done(StatusCode::CREATED))
}

pub(in crate::api::notary) async fn own(
    permitted: PermittedOwn<UseNotaryAccount>,
    State(notary): State<Notary>,
    Body(Change { password }): Body<Change>,
) -> Result<Done, Error> {
    notary.set_own_notary_password(&permitted, new_password(Password::new(password.0))?).await?;
    Ok(Done(StatusCode::CREATED))
}
