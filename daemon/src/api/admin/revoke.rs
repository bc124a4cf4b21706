//! `POST /admin/v1/certificates/{serial}/revoke`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::access::{self, Permitted};
use super::body::Body;
use super::certificates::read_serial;
use super::failure;
use crate::problem::Problem;
use crate::service::Services;

/// Why a certificate is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The reason, if one is given.
    pub reason: Option<Reason>,
}

/// Reasons of RFC 5280 section 5.3.1 that a subscriber's certificate can have for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
#[value(rename_all = "camelCase")]
pub enum Reason {
    /// The subject's name or affiliation is no longer true.
    AffiliationChanged,
    /// The service is gone.
    CessationOfOperation,
    /// Somebody else has the key.
    KeyCompromise,
    /// The subject may no longer have it.
    PrivilegeWithdrawn,
    /// Another certificate took its place.
    Superseded,
}

impl Reason {
    /// The code of RFC 5280.
    pub fn code(self) -> u8 {
        match self {
            Self::AffiliationChanged => 3,
            Self::CessationOfOperation => 5,
            Self::KeyCompromise => 1,
            Self::PrivilegeWithdrawn => 9,
            Self::Superseded => 4,
        }
    }
}

pub(super) async fn revoke(
    permitted: Permitted<access::Revoke>,
    State(services): State<Arc<Services>>,
    Path(serial): Path<String>,
    Body(revocation): Body<Revocation>,
) -> Result<StatusCode, Problem> {
    let serial = read_serial(&serial)?;
    let reason = revocation.reason.map(Reason::code);
    services.revoke(&permitted, serial, reason).await.map_err(failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}
