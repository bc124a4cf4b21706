//! The one parameter of a path, whose faults are problem documents.

use axum::extract::{FromRequestParts, Path as Read};
use http::StatusCode;
use http::request::Parts;

use crate::api::route::{Argument, Operation};
use crate::problem::Problem;

/// What stands where the path has braces.
pub(super) struct Path(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Read::from_request_parts(parts, state).await {
            Ok(Read(text)) => Ok(Self(text)),
            Err(_) => Err(Problem::plain(StatusCode::BAD_REQUEST, "the path is not UTF-8")),
        }
    }
}

impl Argument for Path {
    fn tell(operation: &mut Operation) {
        operation.takes_path();
    }
}
