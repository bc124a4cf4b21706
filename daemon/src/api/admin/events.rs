//! `GET /admin/v1/events`: the journal, as it goes on.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure;
use super::query::Query;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Those after the one with this number.
    pub after: u64,
    /// How many seconds to wait if there is none yet; at most 20 count. With it, repeated requests are a
    /// stream: each is asked anew whether its sender still may.
    #[schemars(range(max = 20))]
    pub wait: u64,
}

/// Some events.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Events {
    /// Entries of the journal: `seq`, `at`, `actor`, `request_id`, and `event` with its `type`.
    pub events: Vec<Value>,
    /// Number of the last entry there is.
    pub last: u64,
}

pub(super) async fn list(
    permitted: Permitted<access::ReadEvents>,
    State(services): State<Arc<Services>>,
    Query(Parameters { after, wait }): Query<Parameters>,
) -> Result<Json<Events>, Problem> {
    let found = services.events(&permitted, after, Duration::from_secs(wait)).await.map_err(failure::problem)?;
    Ok(Json(Events { events: found.events, last: found.last }))
}
