//! `GET /admin/v1/status`: how the daemon and its signers are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::access::{self, Permitted};
use crate::service::Services;
use crate::service::health::{CA, Measure, SealStatus, Vital};
use crate::shape;

/// How everything is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Status {
    /// Version of `signetd`.
    pub version: String,
    /// `sealed`, `unsealed`, `faulted` or `unreachable`.
    pub seal: String,
    /// Whether certificates can be issued.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Base URL for clients.
    pub public_url: String,
    /// What `signetd` has given up, and what it could not on this host.
    #[schemars(with = "Vec<shape::Measure>")]
    pub hardening: Vec<Measure>,
    /// The signers, by name.
    pub signers: Vec<Signer>,
}

/// How one signer is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Signer {
    /// `ca` or `tls`.
    pub name: String,
    /// Why it cannot be used, if it cannot.
    pub fault: Option<String>,
    /// What it said, if it said something.
    pub detail: Option<Detail>,
}

/// What a signer says of itself.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Detail {
    /// Program version.
    pub version: String,
    /// Seal state.
    pub seal: String,
    /// Id of its journal.
    pub journal: String,
    /// Position of the journal's last durable entry.
    pub last: u64,
    /// Wrong PINs that reached the token since the last right one.
    pub wrong_pins: u32,
    /// Since when it runs, in seconds since 1970.
    pub started: u64,
    /// Labels of its keys.
    pub keys: Vec<String>,
    /// What it has given up, and what it could not on this host.
    #[schemars(with = "Vec<shape::Measure>")]
    pub hardening: Vec<Measure>,
}

pub(super) async fn show(
    _permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> Json<Status> {
    let health = services.health();
    let mut signers: Vec<Signer> = services.vitals.all().into_iter().map(|(name, vital)| signer(name, vital)).collect();
    // The signer does not know that the store cannot follow it.
    if let Some(ca) = signers.iter_mut().find(|signer| signer.name == CA) {
        ca.fault = ca.fault.take().or_else(|| services.fault());
    }
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seal: health.seal.to_owned(),
        ready: health.ready,
        reasons: health.reasons,
        public_url: services.public_url.clone(),
        hardening: services.hardening.clone(),
        signers,
    })
}

fn signer(name: &str, vital: Vital) -> Signer {
    let name = name.to_owned();
    match vital {
        Err(fault) => Signer { name, fault: Some(fault), detail: None },
        Ok(status) => {
            let (seal, faulted) = match status.seal {
                SealStatus::Faulted { why } => ("faulted".to_owned(), Some(why)),
                SealStatus::Sealed => ("sealed".to_owned(), None),
                SealStatus::Unsealed => ("unsealed".to_owned(), None),
                SealStatus::Unsealing { threshold, received } => {
                    (format!("unsealing, {received} of {threshold}"), None)
                }
            };
            let detail = Detail {
                version: status.version,
                seal,
                journal: status.journal.0,
                last: status.last,
                wrong_pins: status.wrong_pins,
                started: status.started.0,
                keys: status.keys.into_iter().map(|key| key.label).collect(),
                hardening: status.hardening,
            };
            Signer { name, fault: faulted.or(status.journal_fault), detail: Some(detail) }
        }
    }
}
