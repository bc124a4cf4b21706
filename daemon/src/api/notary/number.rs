//! Numbers in paths.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::error::Error;

/// The number at the place `{id}` of a path.
pub(super) struct Number(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        text.parse().map(Self).map_err(|_| Error::bad("invalid ID"))
    }
}
