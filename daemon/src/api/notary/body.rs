//! Bodies. Fields that are not known are ignored, as Notary does: its clients send some.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::error::Error;

/// A JSON object, whatever its media type is said to be.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let too_large = || Error::new(StatusCode::PAYLOAD_TOO_LARGE, "request body too large");
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| match error.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                _ => Error::bad("the body cannot be read to its end"),
            })?;
        if bytes.len() > MOST {
            return Err(too_large());
        }
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        let read = serde_json::from_slice(&bytes).ok().filter(|_| is_object);
        read.map(Self).ok_or_else(|| Error::bad("invalid JSON format"))
    }
}

/// Largest body, in octets.
const MOST: usize = 100 * 1024;
