//! The query of a URL, read strictly, whose faults are problem documents.

use axum::extract::{FromRequestParts, Query as Read};
use http::StatusCode;
use http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::api::route::{Argument, Operation};
use crate::problem::Problem;

/// The parameters of a request.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Read::try_from_uri(&parts.uri) {
            Ok(Read(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::plain(
                StatusCode::BAD_REQUEST,
                format!("the parameters are not what this path takes: {}", error.body_text()),
            )),
        }
    }
}

impl<T: JsonSchema> Argument for Query<T> {
    fn tell(operation: &mut Operation) {
        operation.takes_query::<T>();
    }
}
