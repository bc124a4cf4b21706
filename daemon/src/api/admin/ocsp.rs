//! `GET /admin/v1/ocsp` and `POST /admin/v1/ocsp/presign`: how the OCSP responder is, and a snapshot for a
//! planned outage.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::effects::UnixTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::crl::Look;
use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::ocsp;

/// How the responder is. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Ocsp {
    /// Label of the key that signs; none before it was used.
    pub key: Option<String>,
    /// Last second of its certificate.
    pub certificate_not_after: Option<u64>,
    /// Signatures that the token was seen to make in a second, rounded.
    pub signatures_per_second: u64,
    /// For how many seconds the oldest answer has been due to be signed again.
    pub lag: u64,
    /// Answers signed ahead since the start.
    pub signed_ahead: u64,
    /// Answers that cannot be signed, and wait to be tried again.
    pub aside: Vec<Aside>,
    /// The snapshot, if one was asked for.
    pub snapshot: Option<Snapshot>,
    /// What the watchdog saw, by what it asked for.
    pub seen: Vec<(String, Look)>,
    /// What cannot be renewed, or is not right as it is served: a sentence each.
    pub faults: Vec<String>,
}

/// An answer that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Aside {
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// Why not.
    pub why: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again.
    pub again: u64,
}

/// How far a snapshot has come.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Snapshot {
    /// Every answer is to be good until then.
    pub until: u64,
    /// When it was asked for.
    pub begun: u64,
    /// When it was complete, if it is.
    pub done: Option<u64>,
    /// Certificates looked at.
    pub seen: u64,
    /// Answers signed for it.
    pub signed: u64,
}

/// What a snapshot is to be good for.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presign {
    /// Every answer is to be good until then, in seconds since 1970.
    pub until: u64,
}

pub(super) async fn show(
    permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> Json<Ocsp> {
    let (report, seen) = services.ocsp_report(&permitted);
    let (key, not_after) = report.responder.unzip();
    Json(Ocsp {
        key,
        certificate_not_after: not_after.map(|time| time.0),
        signatures_per_second: report.per_second.round() as u64,
        lag: report.lag,
        signed_ahead: report.signed,
        aside: report.aside.into_iter().map(Aside::from).collect(),
        snapshot: report.snapshot.map(Snapshot::from),
        seen: seen.into_iter().map(|(what, seen)| (what, Look::from(seen))).collect(),
        faults: services.status_faults(&permitted),
    })
}

pub(super) async fn presign(
    permitted: Permitted<access::Revoke>,
    State(services): State<Arc<Services>>,
    Body(Presign { until }): Body<Presign>,
) -> Result<Json<Snapshot>, Problem> {
    let snapshot = services.presign(&permitted, UnixTime(until)).await.map_err(failure::problem)?;
    Ok(Json(Snapshot::from(snapshot)))
}

impl From<ocsp::Aside> for Aside {
    fn from(aside: ocsp::Aside) -> Self {
        let ocsp::Aside { serial, why, tries, again } = aside;
        Self { serial, why, tries, again: again.0 }
    }
}

impl From<ocsp::Snapshot> for Snapshot {
    fn from(snapshot: ocsp::Snapshot) -> Self {
        Self {
            until: snapshot.until.0,
            begun: snapshot.begun.0,
            done: snapshot.done.map(|time| time.0),
            seen: snapshot.seen,
            signed: snapshot.signed,
        }
    }
}
