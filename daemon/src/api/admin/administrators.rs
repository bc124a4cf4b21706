//! `GET /admin/v1/administrators` and `DELETE /admin/v1/administrators/{fingerprint}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::administrators::Role;
use crate::service::{Services, administrators};

/// An administrator. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// SHA-256 of his certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject common name of his certificate.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When he was enrolled.
    pub enrolled: u64,
    /// When he was removed, if he was.
    pub removed: Option<u64>,
}

pub(super) async fn list(
    permitted: Permitted<access::ReadAdministrators>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Vec<Administrator>>, Problem> {
    let all = services.administrators(&permitted).map_err(failure::problem)?;
    Ok(Json(all.into_iter().map(Administrator::from).collect()))
}

pub(super) async fn remove(
    permitted: Permitted<access::ManageAdministrators>,
    State(services): State<Arc<Services>>,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Problem> {
    services.remove_administrator(&permitted, &fingerprint.to_ascii_lowercase()).await.map_err(failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<administrators::Administrator> for Administrator {
    fn from(one: administrators::Administrator) -> Self {
        Self {
            fingerprint: one.fingerprint,
            name: one.name,
            role: one.role,
            enrolled: one.enrolled.0,
            removed: one.removed.map(|at| at.0),
        }
    }
}
