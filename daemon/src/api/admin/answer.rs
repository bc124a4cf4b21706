//! Answers other than 200 and a body.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::route::{Answer, Content};

/// 201: something was made.
pub(super) struct New<T>(pub(super) T);

impl<T: Serialize> IntoResponse for New<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Answer for New<T> {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        vec![(StatusCode::CREATED, Some(Content::json::<T>()))]
    }
}
