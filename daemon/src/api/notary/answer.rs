//! The envelopes of answers: what a client of either generation looks for is there.
//!
//! ```text
//! {"result": X, "data": X}                                                     something
//! {"result": {"message": "success", "id": 1}, "data": {"id": 1}, "message": …}  something was made
//! {"result": {"message": "success"}, "message": "success"}                     something was done
//! ```

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

/// Something.
pub(super) struct Data<T>(pub(super) T);

/// Something was made: its number.
pub(super) struct Created(pub(super) u64);

/// Something was done, with this status.
pub(super) struct Done(pub(super) StatusCode);

#[derive(Serialize)]
struct Both<'a, T> {
    result: &'a T,
    data: &'a T,
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        Json(Both { result: &self.0, data: &self.0 }).into_response()
    }
}

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        let result = json!({"message": SUCCESS, "id": self.0});
        let body = json!({"result": result, "data": {"id": self.0}, "message": SUCCESS});
        (StatusCode::CREATED, Json(body)).into_response()
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"result": {"message": SUCCESS}, "message": SUCCESS}))).into_response()
    }
}

const SUCCESS: &str = "success";
