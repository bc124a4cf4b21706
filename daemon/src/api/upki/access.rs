//! What is asked before a request is read: whether anything could come of it, and who sends it.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::Upki;
use super::error::Error;
use crate::api::access::Serves;
use crate::service::Services;
use crate::service::issue::IssueFailure;

impl Serves for Upki {
    type Refusal = Error;

    fn services(&self) -> &Services {
        self
    }
}

/// That something can be signed. A handler that needs a signature takes it first: 503 comes before
/// authentication.
pub(super) struct Unsealed;

impl FromRequestParts<Upki> for Unsealed {
    type Rejection = Error;

    async fn from_request_parts(_: &mut Parts, upki: &Upki) -> Result<Self, Error> {
        match upki.pipeline().obstacle() {
            None => Ok(Self),
            Some(obstacle) => Err(Error::from(IssueFailure::from(obstacle))),
        }
    }
}
