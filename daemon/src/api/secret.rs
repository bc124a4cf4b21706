//! Answers that hold a private key: wiped when they are sent, and kept by nobody on the way.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::problem::Problem;

/// A secret text on its way to its owner, the one time that it is written.
#[derive(Default)]
pub struct Secret(pub Zeroizing<String>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// JSON that holds one.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // So large that it does not grow, which would leave copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(ROOM));
    if let Err(error) = serde_json::to_writer(&mut *body, value) {
        tracing::error!(%error, "an answer cannot be written");
        return Problem::internal().into_response();
    }
    let mut response = (status, Body::from(Bytes::from_owner(body))).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// More than a chain and an RSA key of 4096 bits take.
const ROOM: usize = 64 * 1024;
