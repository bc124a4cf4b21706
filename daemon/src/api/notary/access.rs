//! Who sends a request: the session that it shows, in the header Authorization or as a cookie.

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::COOKIE;
use http::request::Parts;

use super::Notary;
use super::error::Error;
use crate::api::access::{Serves, bearer};
use crate::service::Services;
use crate::service::rights::Shows;

/// Name of the cookie that holds a session.
pub(super) const COOKIE_NAME: &str = "user_token";

impl Serves for Notary {
    type Refusal = Error;

    fn services(&self) -> &Services {
        self
    }

    fn shown(parts: &Parts) -> Shows<'_> {
        Shows::Session(session(parts))
    }

    /// Notary's own pages, if a proxy puts them under our URL. No other page has the cookie.
    fn trusts(&self, origin: &HeaderValue) -> bool {
        origin == self.public_url.as_str()
    }
}

/// The session that was shown, whoever it belongs to.
pub(super) struct Shown(pub(super) Option<String>);

impl FromRequestParts<Notary> for Shown {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Notary) -> Result<Self, Error> {
        Ok(Self(session(parts).map(str::to_owned)))
    }
}

/// Clients of both generations send both, with the same session.
fn session(parts: &Parts) -> Option<&str> {
    bearer(parts).or_else(|| cookies(parts).find_map(|(name, value)| (name == COOKIE_NAME).then_some(value)))
}

/// RFC 6265 section 4.2.1.
fn cookies(parts: &Parts) -> impl Iterator<Item = (&str, &str)> {
    let values = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='))
}
