//! The query of a URL, read strictly: `limit` and `cursor`, with which a long list is read in pages.

use axum::extract::{FromRequestParts, Query as Read};
use http::request::Parts;
use serde::Deserialize;

use super::error::Error;

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// At most so many.
    #[serde(default = "most")]
    pub(super) limit: usize,
    /// Where it begins: `next` of the page before.
    pub(super) cursor: Option<String>,
}

fn most() -> usize {
    500
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match Read::try_from_uri(&parts.uri) {
            Ok(Read(page)) => Ok(page),
            Err(error) => {
                Err(Error::validation(format!("the parameters are `limit` and `cursor`: {}", error.body_text())))
            }
        }
    }
}
