//! The description of a surface: OpenAPI 3.1, whose schemas are JSON Schema 2020-12.

use std::collections::BTreeMap;

use http::StatusCode;
use policy::rights::{Permission, tokens_may};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::{Content, Key, Route};

/// What a surface says of itself as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// What it is called.
    pub title: &'static str,
    /// What is true of every route, in Markdown.
    pub about: &'static str,
    /// How whoever asks can prove who he is; each does.
    pub schemes: &'static [Scheme],
    /// What it says when something is wrong.
    pub fault: Content,
}

/// How somebody proves who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// By a certificate of this CA, over mutual TLS.
    Certificate,
    /// By an API token, in the header Authorization (RFC 6750).
    Token,
}

/// The description of every route of the table that has one.
pub(super) fn document(api: &Api, table: &[Route]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in table {
        let Some(operation) = &route.operation else { continue };
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(&route.path).or_default().insert(method, render(api, route, operation, &mut generator));
    }
    let schemes: Map<String, Value> =
        api.schemes.iter().map(|scheme| (scheme.name().to_owned(), scheme.render())).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": env!("CARGO_PKG_VERSION"), "description": api.about},
        "paths": paths,
        "components": {"schemas": generator.take_definitions(true), "securitySchemes": schemes},
    });
    bound(&mut document);
    document
}

/// The operation that answers with the description.
pub(super) fn itself(api: &Api) -> Operation {
    let object: fn(&mut SchemaGenerator) -> Schema = |_| schemars::json_schema!({"type": "object"});
    Operation {
        summary: "This description",
        id: "openapi.show".to_owned(),
        query: None,
        body: None,
        answers: vec![(StatusCode::OK, Some(Content { media_type: "application/json", shape: object }))],
        faults: [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE].into(),
        fault: api.fault,
    }
}

fn render(api: &Api, route: &Route, operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let public = route.permission == Permission::ReadPublic;
    let mut about = match public {
        true => "For everybody.".to_owned(),
        false => format!("Takes the right `{}`.", route.permission),
    };
    if route.key == Key::Needed {
        about += " While the CA's key cannot be used the answer is 503, whoever asks.";
    }
    let mut parameters: Vec<Value> = named_in(&route.path).map(in_path).collect();
    parameters.extend(operation.query.into_iter().flat_map(|shape| in_query(&shape(generator))));
    let content = |content: &Content, generator: &mut SchemaGenerator| {
        let Content { media_type, shape } = content;
        json!({*media_type: {"schema": shape(generator)}})
    };
    let mut responses = Map::new();
    for (status, body) in &operation.answers {
        let mut response = json!({"description": status.canonical_reason()});
        if let Some(body) = body {
            response["content"] = content(body, generator);
        }
        responses.insert(status.as_u16().to_string(), response);
    }
    for status in &operation.faults {
        let mut response = json!({"description": words(*status), "content": content(&operation.fault, generator)});
        if *status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = json!({"type": "integer", "minimum": 1});
            response["headers"] = json!({"Retry-After": {"description": "Seconds.", "schema": seconds}});
        }
        responses.insert(status.as_u16().to_string(), response);
    }
    let (tag, _) = operation.id.split_once('.').unwrap_or((&operation.id, ""));
    let mut rendered = json!({
        "operationId": operation.id, "tags": [tag], "summary": operation.summary, "description": about,
        "parameters": parameters, "responses": responses,
    });
    if let Some(body) = &operation.body {
        rendered["requestBody"] = json!({"required": true, "content": content(body, generator)});
    }
    let good = |scheme: &&Scheme| **scheme == Scheme::Certificate || tokens_may(route.permission);
    let schemes = api.schemes.iter().filter(good).map(|scheme| json!({scheme.name(): []}));
    rendered["security"] = if public { json!([]) } else { schemes.collect() };
    rendered
}

/// The names in braces in a path.
fn named_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Value {
    let schema = match name {
        "serial" => json!({"$ref": "#/components/schemas/Serial"}),
        _ => json!({"type": "string", "minLength": 1}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

/// The fields of an object as parameters of a query, which has no null: what is not said is left out.
fn in_query(object: &Schema) -> Vec<Value> {
    let list = |name: &str| object.get(name).cloned().unwrap_or_default();
    let (properties, required) = (list("properties"), list("required"));
    let is_required = |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({"name": name, "in": "query", "required": is_required(name)});
        parameter["schema"] = without_null(schema);
        if let Some(about) = about {
            parameter["description"] = about;
        }
        parameter
    };
    properties.as_object().into_iter().flatten().map(parameter).collect()
}

fn without_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.as_object_mut().map(|schema| schema.remove("default"));
    }
    match schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([real, null]) if *null == json!({"type": "null"}) => real.clone(),
        _ => schema,
    }
}

/// Numbers end where the types behind them do.
fn bound(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(members) => {
            let most = match members.get("format").and_then(Value::as_str) {
                Some("uint" | "uint64") => Some(json!(u64::MAX)),
                Some("uint32") => Some(json!(u32::MAX)),
                _ => None,
            };
            if let Some(most) = most {
                members.remove("format");
                members.entry("maximum").or_insert(most);
            }
            members.values_mut().for_each(bound);
        }
        _ => {}
    }
}

/// What a status means here.
fn words(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request cannot be read: a parameter or a field is not what this path takes.",
        StatusCode::CONFLICT => "What is there stands against it.",
        StatusCode::FORBIDDEN => "Whoever asks may not, or policy refuses it.",
        StatusCode::INTERNAL_SERVER_ERROR => "The server failed; its log has the cause under the request's id.",
        StatusCode::NOT_FOUND => "What is named is not there, or belongs to somebody else.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "Not now: `strongbox sealed`, or trouble with the token, the journal or the store. Try again."
        }
        StatusCode::UNAUTHORIZED => "Nobody who is known: no certificate was shown, and no token that counts.",
        StatusCode::UNPROCESSABLE_ENTITY => "The request can be read, and is not possible.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body is of another media type.",
        _ => "It failed.",
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
        }
    }

    fn render(self) -> Value {
        match self {
            Self::Certificate => json!({"type": "mutualTLS", "description": "A certificate of this CA."}),
            Self::Token => json!({"type": "http", "scheme": "bearer", "description": "An API token."}),
        }
    }
}
