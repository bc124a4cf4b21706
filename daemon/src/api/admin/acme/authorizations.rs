//! `/admin/v1/acme/authorizations/{id}`: show, deactivate.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::failure;
use super::super::path::Path;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::acme::Acme;
use crate::service::acme::authorizations::{Authorization, Expired};
use crate::service::acme::records::{AuthorizationStatus, ChallengeState, Proof};
use crate::validation::Wildcard;

/// An ACME authorization. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Authorization")]
pub struct Shown {
    /// Its id, the last part of its URL.
    pub id: String,
    /// Id of the account whose it is.
    pub account: String,
    /// The name that it is for; `*.` before it if it is for the wildcard.
    pub name: String,
    /// `deactivated`, `invalid`, `pending`, `revoked` or `valid`.
    pub status: AuthorizationStatus,
    /// Whether its time is over.
    pub expired: bool,
    /// Last second in which it can be used, or validated while pending.
    pub expires: u64,
    /// The challenges that were offered.
    pub challenges: Vec<Challenge>,
    /// How control was shown, once it was.
    pub proof: Option<Proof>,
}

/// A challenge of an authorization.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "AuthorizationChallenge")]
pub struct Challenge {
    /// Its type.
    pub kind: String,
    /// How far it is, and what went wrong.
    pub state: ChallengeState,
}

pub(in super::super) async fn show(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Path(authorization): Path,
) -> Result<Json<Shown>, Problem> {
    let authorization = acme.show_authorization(&permitted, &authorization).map_err(failure::problem)?;
    Ok(Json(Shown::from(authorization)))
}

pub(in super::super) async fn deactivate(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Path(authorization): Path,
) -> Result<NoContent, Problem> {
    acme.revoke_authorization(&permitted, &authorization).await.map_err(failure::problem)?;
    Ok(NoContent)
}

impl From<Authorization> for Shown {
    fn from(authorization: Authorization) -> Self {
        let Authorization { id, record, expired } = authorization;
        let name = match record.wildcard {
            Wildcard::No => record.name.to_string(),
            Wildcard::Yes => format!("*.{}", record.name),
        };
        let challenge = |one: crate::service::acme::records::Challenge| {
            // The token stays between server and client.
            Challenge { kind: one.method.as_str().to_owned(), state: one.state }
        };
        Self {
            id,
            account: record.account,
            name,
            status: record.status,
            expired: expired == Expired::Yes,
            expires: record.expires.0,
            challenges: record.challenges.into_iter().map(challenge).collect(),
            proof: record.proof,
        }
    }
}
