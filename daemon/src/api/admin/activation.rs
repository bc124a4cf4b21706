//! `GET /admin/v1/ca/check` and `POST /admin/v1/ca/activate`: whether relying parties find what
//! certificates name, and the CA going active.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::activation::{self, OnFailure};

/// What relying parties find. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Check {
    /// That the CA is active, if it is.
    pub active: Option<Activation>,
    /// Every URL that certificates name.
    pub urls: Vec<Checked>,
}

/// That the CA is active.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Activation {
    /// Since when.
    pub at: u64,
    /// Who did it.
    pub actor: String,
    /// Whether it went active although something failed.
    pub forced: bool,
    /// What failed, a sentence each.
    pub failures: Vec<String>,
}

/// One URL, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Checked {
    /// What it leads to.
    pub what: String,
    /// The URL, as it stands in certificates.
    pub url: String,
    /// What is wrong, if something is.
    pub fault: Option<String>,
    /// nextUpdate of what was found, if it has one.
    pub next_update: Option<u64>,
}

/// How the CA goes active.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// Also if something fails; the journal says what.
    #[serde(default)]
    pub force: bool,
}

pub(super) async fn check(
    _permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Check>, Problem> {
    let active = services.activation().map_err(failure::problem)?.map(Activation::from);
    let urls = services.check_urls().await.into_iter().map(Checked::from).collect();
    Ok(Json(Check { active, urls }))
}

pub(super) async fn activate(
    permitted: Permitted<access::ActivateCa>,
    State(services): State<Arc<Services>>,
    Body(Activate { force }): Body<Activate>,
) -> Result<Json<Activation>, Problem> {
    let on_failure = if force { OnFailure::Force } else { OnFailure::Refuse };
    let activation = services.activate(&permitted, on_failure).await.map_err(failure::problem)?;
    Ok(Json(Activation::from(activation)))
}

impl From<activation::Activation> for Activation {
    fn from(activation: activation::Activation) -> Self {
        let forced = !activation.failures.is_empty();
        Self { at: activation.at.0, actor: activation.actor, forced, failures: activation.failures }
    }
}

impl From<activation::Checked> for Checked {
    fn from(checked: activation::Checked) -> Self {
        let activation::Checked { what, url, fault, last } = checked;
        Self { what, url, fault, next_update: last.map(|last| last.next_update.0) }
    }
}
