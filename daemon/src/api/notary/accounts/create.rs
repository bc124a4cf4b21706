//! `POST /api/v1/accounts`: by an administrator, or by anybody while there is none.

use axum::extract::State;
use serde::Deserialize;

use super::{new_password, role};
use crate::api::access::{OpenNotaryAccount, PermittedOwn};
use crate::api::notary::Notary;
use crate::api::notary::answer::Created;
use crate::api::notary::body::Body;
use crate::api::notary::error::Error;
use crate::api::secret::Secret;
use crate::service::notary::accounts::{Email, Role};
use crate::service::notary::password::Password;

#[derive(Deserialize)]
pub(in crate::api::notary) struct Wish {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: Secret,
    role_id: Option<i64>,
}

pub(in crate::api::notary) async fn create(
    permitted: PermittedOwn<OpenNotaryAccount>,
    State(notary): State<Notary>,
    body: Result<Body<Wish>, Error>,
) -> Result<Created, Error> {
    notary.may_open_notary_account(&permitted)?;
    let Body(Wish { email, password, role_id }) = body?;
    if email.is_empty() {
        return Err(Error::bad("email is required"));
    }
    let email = Email::parse(&email).map_err(|error| Error::bad(format!("invalid email format: {error}")))?;
    let password = new_password(Password::new(password.0))?;
    // Whoever does not say gets the least.
    let role = role_id.map_or(Ok(Role::Reader), role)?;
    Ok(Created(notary.open_notary_account(&permitted, email, password, role).await?.id))
}
