//! Bodies, read strictly, whose faults have FastAPI's form: 422 and a list of what is wrong where.

use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::error::Error;
use crate::service::Failure;
use crate::service::issue::IssueFailure;
use crate::service::nodes::CertifyError;

/// The fields of a JSON object, each taken once.
pub(super) struct Fields {
    fields: Map<String, Value>,
    faults: Vec<Fault>,
}

/// One thing that is wrong.
struct Fault {
    kind: &'static str,
    place: Vec<Value>,
    message: String,
}

impl Fields {
    /// A text that must be there.
    pub(super) fn required(&mut self, name: &str) -> String {
        if !self.fields.contains_key(name) {
            self.wrong("missing", name, "Field required");
        }
        self.text(name).unwrap_or_default()
    }

    /// A text that must be there and have so many characters.
    pub(super) fn required_of(&mut self, name: &str, length: std::ops::RangeInclusive<usize>) -> String {
        let (was_there, text) = (self.fields.contains_key(name), self.required(name));
        let count = text.chars().count();
        if was_there && self.faults.is_empty() {
            if count < *length.start() {
                let message = format!("String should have at least {} characters", length.start());
                self.wrong("string_too_short", name, message);
            } else if count > *length.end() {
                let message = format!("String should have at most {} characters", length.end());
                self.wrong("string_too_long", name, message);
            }
        }
        text
    }

    /// A text that may be left out.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.fields.remove(name)? {
            Value::String(text) => Some(text),
            // As if it were not there.
            Value::Null => None,
            _ => {
                self.wrong("string_type", name, "Input should be a valid string");
                None
            }
        }
    }

    /// A list of texts; empty if it is left out.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let items = match self.fields.remove(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.wrong("list_type", name, "Input should be a valid list");
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                _ => self.faults.push(Fault {
                    kind: "string_type",
                    place: vec![name.into(), index.into()],
                    message: "Input should be a valid string".to_owned(),
                }),
            }
        }
        texts
    }

    /// The same, and it must be there.
    pub(super) fn required_texts(&mut self, name: &str) -> Vec<String> {
        if !self.fields.contains_key(name) {
            self.wrong("missing", name, "Field required");
        }
        self.texts(name)
    }

    /// Refuses the body if anything was wrong, or is left.
    pub(super) fn end(mut self) -> Result<(), Invalid> {
        for name in std::mem::take(&mut self.fields).keys() {
            self.wrong("extra_forbidden", name, "Extra inputs are not permitted");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Invalid(self.faults)) }
    }

    fn wrong(&mut self, kind: &'static str, name: &str, message: impl Into<String>) {
        let name: String = name.chars().take(64).collect();
        self.faults.push(Fault { kind, place: vec![name.into()], message: message.into() });
    }

    fn read(body: &[u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|_| Invalid::body("json_invalid", "the body is not UTF-8"))?;
        let object: Object = serde_json::from_str(text).map_err(|error| match error.is_data() {
            true => Invalid::body("model_attributes_type", format!("{error}")),
            false => Invalid::body("json_invalid", format!("JSON decode error: {error}")),
        })?;
        Ok(Self { fields: object.0, faults: Vec::new() })
    }
}

/// A body that is not what its path takes.
pub(super) struct Invalid(Vec<Fault>);

impl Invalid {
    /// The whole body is wrong.
    fn body(kind: &'static str, message: impl Into<String>) -> Self {
        Self(vec![Fault { kind, place: Vec::new(), message: message.into() }])
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        let fault = |fault: Fault| {
            let place: Vec<Value> = std::iter::once("body".into()).chain(fault.place).collect();
            // What was sent is not sent back: it may hold a seed.
            json!({"type": fault.kind, "loc": place, "msg": fault.message, "input": {}})
        };
        let detail: Vec<Value> = self.0.into_iter().take(MOST_FAULTS).map(fault).collect();
        (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": detail}))).into_response()
    }
}

/// Why a request with a body is not done: in one of two forms.
pub(super) enum Refusal {
    Error(Error),
    Invalid(Invalid),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Error::from(failure).into()
    }
}

impl From<IssueFailure> for Refusal {
    fn from(failure: IssueFailure) -> Self {
        Error::from(failure).into()
    }
}

impl From<CertifyError> for Refusal {
    fn from(error: CertifyError) -> Self {
        Error::from(error).into()
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Error(error) => error.into_response(),
            Self::Invalid(invalid) => invalid.into_response(),
        }
    }
}

/// A body that must be there.
impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json = media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
        let bytes = bytes(request, state).await?;
        if !is_json {
            let message = "Input should be a valid dictionary: send it as application/json";
            return Err(Invalid::body("model_attributes_type", message).into());
        }
        Ok(Self::read(&bytes)?)
    }
}

/// A body that may be left out.
pub(super) struct Optional(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Optional {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if request.headers().contains_key(CONTENT_TYPE) {
            return Fields::from_request(request, state).await.map(Self);
        }
        let empty = bytes(request, state).await?.is_empty();
        if empty { Ok(Self(Fields { fields: Map::new(), faults: Vec::new() })) } else { Err(undeclared().into()) }
    }
}

fn undeclared() -> Invalid {
    Invalid::body("model_attributes_type", "Input should be a valid dictionary: send it as application/json")
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    Bytes::from_request(request, state).await.map_err(|error| match error.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "VALIDATION_ERROR", "the body is too large")
        }
        _ => Error::validation("the body cannot be read to its end"),
    })
}

/// A JSON object in which no name stands twice: two readers could believe different ones.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a field stands in the body twice"));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

/// Faults of one body that are named.
const MOST_FAULTS: usize = 20;
