//! `GET /admin/v1/limits`, `…/explain?subject=`, `…/failing?paused=`, and `POST …/release`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::failure;
use super::query::Query;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::limits::{self, Explained, Failing, Released, Rule, Subject};
use crate::service::{Failure, Services};

/// Whom it is about: an account's URL or id, an address, or a name.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whom {
    /// As an administrator writes it.
    pub subject: String,
}

/// Which failures are wanted.
#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    paused: bool,
}

pub(super) async fn list(
    permitted: Permitted<access::ReadLimits>,
    State(services): State<Arc<Services>>,
) -> Json<Vec<Rule>> {
    Json(services.limit_rules(&permitted))
}

pub(super) async fn explain(
    permitted: Permitted<access::ReadLimits>,
    State(services): State<Arc<Services>>,
    Query(whom): Query<Whom>,
) -> Result<Json<Explained>, Problem> {
    services.explain_limits(&permitted, &subject(&whom)?).map(Json).map_err(failure::problem)
}

pub(super) async fn failing(
    permitted: Permitted<access::ReadLimits>,
    State(services): State<Arc<Services>>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Failing>>, Problem> {
    let query = if which.paused { limits::Query::Paused } else { limits::Query::All };
    services.failing_validations(&permitted, query).map(Json).map_err(failure::problem)
}

pub(super) async fn release(
    permitted: Permitted<access::ManageLimits>,
    State(services): State<Arc<Services>>,
    Body(whom): Body<Whom>,
) -> Result<Json<Released>, Problem> {
    services.release_limits(&permitted, &subject(&whom)?).await.map(Json).map_err(failure::problem)
}

fn subject(whom: &Whom) -> Result<Subject, Problem> {
    Subject::parse(&whom.subject).map_err(|error| failure::problem(Failure::Invalid(error.to_string())))
}
