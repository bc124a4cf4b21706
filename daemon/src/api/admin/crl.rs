//! `GET /admin/v1/crl` and `POST /admin/v1/crl/publish`: the CRLs, as recorded and as they are served.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::crl::{Freshness, Seen};

/// How CRLs are. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Crls {
    /// Each that is published.
    pub crls: Vec<Crl>,
    /// What cannot be renewed, or is not right as it is served: a sentence each.
    pub faults: Vec<String>,
}

/// One CRL.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Crl {
    /// `root`, or the label of the issuing key.
    pub issuer: String,
    /// `all`, `3-of-16`, with `-delta` behind it.
    pub list: String,
    /// Its number.
    pub number: u64,
    /// Number of the complete CRL that it adds to, if it is a delta.
    pub base: Option<u64>,
    /// Its thisUpdate.
    pub this_update: u64,
    /// Its nextUpdate.
    pub next_update: u64,
    /// Seconds until then; 0 if that time has come.
    pub seconds_to_expiry: u64,
    /// `good`, `late`, `critical`, `expired` or `early`.
    pub freshness: String,
    /// How many certificates it lists.
    pub entries: u64,
    /// Its length in octets.
    pub octets: u64,
    /// SHA-256, hexadecimal; empty for the root's.
    pub sha256: String,
    /// What the watchdog saw of it.
    pub seen: Option<Look>,
}

/// What the watchdog saw of something that is served.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Look {
    /// When it looked.
    pub at: u64,
    /// What was wrong, if something was.
    pub fault: Option<String>,
    /// nextUpdate of what it saw.
    pub next_update: Option<u64>,
}

/// A CRL that was published on request.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Published {
    /// `all`, `3-of-16`.
    pub list: String,
    /// Its number.
    pub number: u64,
}

pub(super) async fn show(
    permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Crls>, Problem> {
    let now = services.clock.now();
    let mut faults = services.status_faults(&permitted);
    let mut crls = Vec::new();
    for listed in services.crls(&permitted).map_err(failure::problem)? {
        let record = listed.record;
        crls.push(Crl {
            issuer: listed.issuer,
            list: listed.list,
            number: record.number,
            base: record.base,
            this_update: record.this_update.0,
            next_update: record.next_update.0,
            seconds_to_expiry: record.next_update.0.saturating_sub(now.0),
            freshness: Freshness::of(record.last(), now).word().to_owned(),
            entries: record.entries,
            octets: record.octets,
            sha256: record.sha256,
            seen: listed.seen.map(Look::from),
        });
    }
    match services.root_list(&permitted) {
        None => {}
        Some(Err(why)) => faults.push(why),
        Some(Ok(root)) => crls.push(Crl {
            issuer: crate::service::ca::ROOT.to_owned(),
            list: "all".to_owned(),
            number: root.number,
            base: None,
            this_update: root.this_update.0,
            next_update: root.next_update.0,
            seconds_to_expiry: root.next_update.0.saturating_sub(now.0),
            freshness: Freshness::of(root.last(), now).word().to_owned(),
            entries: root.entries,
            octets: root.der.len() as u64,
            sha256: String::new(),
            seen: None,
        }),
    }
    Ok(Json(Crls { crls, faults }))
}

pub(super) async fn publish(
    permitted: Permitted<access::Revoke>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Vec<Published>>, Problem> {
    let published = services.publish_crls(&permitted).await.map_err(failure::problem)?;
    Ok(Json(published.into_iter().map(|(list, number)| Published { list, number }).collect()))
}

impl From<Seen> for Look {
    fn from(seen: Seen) -> Self {
        Self { at: seen.at.0, fault: seen.fault, next_update: seen.last.map(|last| last.next_update.0) }
    }
}
