//! `GET /admin/v1/profiles`, `GET /admin/v1/profiles/{profile}` and `POST /admin/v1/profiles/check`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::path::Path;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::profiles::Listed;

/// A profile file to be checked; nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ProfileCheck")]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The file's name, for messages and for the profile's name.
    pub file: String,
    /// The file's text.
    pub text: String,
}

pub(super) async fn list(
    permitted: Permitted<access::ReadProfiles>,
    State(services): State<Arc<Services>>,
) -> Json<Vec<Listed>> {
    Json(services.profiles(&permitted))
}

/// A profile, whole.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Profile")]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub listed: Listed,
    /// The file's text.
    pub text: String,
}

pub(super) async fn show(
    permitted: Permitted<access::ReadProfiles>,
    State(services): State<Arc<Services>>,
    Path(name): Path,
) -> Result<Json<Shown>, Problem> {
    match services.profile_text(&permitted, &name) {
        Some((listed, text)) => Ok(Json(Shown { listed, text: text.to_owned() })),
        None => Err(Problem::plain(StatusCode::NOT_FOUND, "there is no such profile")),
    }
}

pub(super) async fn check(
    permitted: Permitted<access::ReadProfiles>,
    State(services): State<Arc<Services>>,
    Body(check): Body<Check>,
) -> Result<Json<Listed>, Problem> {
    match services.check_profile(&permitted, &check.file, &check.text) {
        Ok(profile) => Ok(Json(profile)),
        Err(error) => {
            Err(Problem::plain(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).member("line", error.line))
        }
    }
}
