//! The envelope of answers, and serial numbers in it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use policy::serial::Serial;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// `{"status": "success", "data": …}`
pub(super) struct Data<T>(pub(super) T);

/// `{"status": "success", "message": "…"}`
pub(super) struct Message(pub(super) &'static str);

/// A serial number as a JSON integer, whatever its size.
pub(super) struct Number(pub(super) Serial);

#[derive(Serialize)]
struct Envelope<T> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        Json(Envelope { status: "success", data: Some(self.0), message: None }).into_response()
    }
}

impl IntoResponse for Message {
    fn into_response(self) -> Response {
        Json(Envelope::<()> { status: "success", data: None, message: Some(self.0) }).into_response()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = RawValue::from_string(self.0.to_decimal()).map_err(serde::ser::Error::custom)?;
        digits.serialize(serializer)
    }
}

/// JSON that was put together elsewhere.
pub(super) fn json(body: axum::body::Body) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
