//! `GET /admin/v1/config`: the configuration in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::{Failure, Services};

/// The configuration in force. It holds no secret.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The file that it was read from.
    pub file: String,
    /// When, in seconds since 1970: at the start, or at the last reload, which takes `log` only.
    pub read: u64,
    /// Every setting by its section, defaults included; times as in `1h 30m`.
    pub settings: Map<String, Value>,
}

pub(super) async fn show(
    _permitted: Permitted<access::ReadConfig>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Config>, Problem> {
    let in_force = services.config.now();
    match serde_json::to_value(&in_force.config) {
        Ok(Value::Object(settings)) => {
            Ok(Json(Config { file: in_force.file.display().to_string(), read: in_force.read.0, settings }))
        }
        // Such as a path that is no UTF-8.
        other => Err(failure::problem(Failure::Internal(format!("the configuration cannot be shown: {other:?}")))),
    }
}
