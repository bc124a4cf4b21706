//! A JSON body, read strictly, whose faults are problem documents.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::api::route::{Argument, Operation};
use crate::api::strict;
use crate::problem::Problem;

/// The body of a request, of media type `application/json`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(Problem::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as `application/json`"));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| match error.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
                _ => Problem::plain(StatusCode::BAD_REQUEST, "the body cannot be read"),
            })?;
        match strict::read(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(error) => {
                Err(Problem::plain(StatusCode::BAD_REQUEST, format!("the body is not what this path takes: {error}")))
            }
        }
    }
}

impl<T: JsonSchema> Argument for Body<T> {
    fn tell(operation: &mut Operation) {
        operation.takes_json::<T>();
    }
}
