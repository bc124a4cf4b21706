//! `POST /login` and `POST /logout`

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Notary;
use super::access::{COOKIE_NAME, Shown};
use super::answer::Done;
use super::body::Body;
use super::error::Error;
use crate::api::access::{Permitted, ReadPublic};
use crate::api::secret::{self, Secret};
use crate::service::notary::password::Password;
use crate::service::notary::sessions::{LIFETIME, Session};
use crate::service::peer::Peer;

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: Secret,
}

#[derive(Serialize)]
struct Answer {
    /// Where the older generation finds it.
    result: Token,
    message: &'static str,
}

#[derive(Serialize)]
struct Token {
    token: Secret,
}

pub(super) async fn login(
    _: Permitted<ReadPublic>,
    State(notary): State<Notary>,
    Extension(peer): Extension<Arc<Peer>>,
    Body(Credentials { email, password }): Body<Credentials>,
) -> Result<Response, Error> {
    let password = Password::new(password.0);
    if email.is_empty() {
        return Err(Error::bad("email is required"));
    }
    if password.is_empty() {
        return Err(Error::bad("password is required"));
    }
    let session = notary.notary_sign_in(peer.address(), &email, password).await?;
    let token = Secret(Zeroizing::new(session.reveal().to_owned()));
    let mut response = secret::json(StatusCode::OK, &Answer { result: Token { token }, message: "success" });
    response.headers_mut().insert(SET_COOKIE, cookie(Some(&session))?);
    Ok(response)
}

pub(super) async fn logout(
    _: Permitted<ReadPublic>,
    State(notary): State<Notary>,
    Shown(session): Shown,
) -> Result<Response, Error> {
    if let Some(session) = session {
        notary.notary_sign_out(&session);
    }
    let mut response = Done(StatusCode::OK).into_response();
    response.headers_mut().insert(SET_COOKIE, cookie(None)?);
    Ok(response)
}

/// The cookie of a session, or one that takes it away.
fn cookie(session: Option<&Session>) -> Result<HeaderValue, Error> {
    let (token, age) = session.map_or(("", 0), |session| (session.reveal(), LIFETIME));
    let text =
        Zeroizing::new(format!("{COOKIE_NAME}={token}; Path=/; Max-Age={age}; HttpOnly; Secure; SameSite=Strict"));
    let mut value = HeaderValue::from_str(&text).map_err(|error| Error::internal(&error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
