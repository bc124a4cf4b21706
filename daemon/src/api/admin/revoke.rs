//! `POST /admin/v1/certificates/{serial}/revoke`, `…/certificates/act` and `…/certificates/find`:
//! revocation, hold and release, of one certificate or of many.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use http::StatusCode;
use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::serial::Serial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::certificates::read_serial;
use super::failure;
use super::path::Path;
use crate::api::access::{self, Permitted, PermittedOwn};
use crate::api::strict;
use crate::problem::Problem;
use crate::service::certificates::RevokeError;
use crate::service::revocation::{self, Deed};
use crate::service::{Failure, Services};
use crate::shape;

/// Why a certificate is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The reason, if one is given.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Since when the key is suspected, in seconds since 1970, if that is known.
    #[serde(default)]
    pub invalidity_date: Option<u64>,
}

/// Reasons of RFC 5280 section 5.3.1 that a subscriber's certificate can have for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize, clap::ValueEnum)]
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

/// What is done to certificates.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Act {
    /// They are put on hold, where their profile allows it.
    Hold,
    /// Those on hold are good again.
    Release,
    /// They are revoked for good.
    Revoke(Revocation),
}

/// Some certificates, and what is done to them.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acts {
    /// What.
    #[serde(deserialize_with = "strict::object")]
    pub deed: Act,
    /// To which, at most [`MOST`].
    #[schemars(with = "Vec<shape::Serial>", length(max = MOST))]
    pub serials: Vec<Serial>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Done {
    /// How many were not so already.
    pub changed: u64,
}

/// A question for certificates to which a deed would be new: every part of it must fit.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The deed.
    #[serde(deserialize_with = "strict::object")]
    pub deed: Act,
    /// Where to go on, from the answer before.
    #[serde(default)]
    #[schemars(with = "Option<shape::Serial>")]
    pub cursor: Option<Serial>,
    /// Id of the ACME account that ordered it.
    #[serde(default)]
    pub account: Option<String>,
    /// The profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// Issued at that time or later, in seconds since 1970.
    #[serde(default)]
    pub issued_after: Option<u64>,
    /// Issued before that time, in seconds since 1970.
    #[serde(default)]
    pub issued_before: Option<u64>,
    /// A name of it was proved by this version of a validator.
    #[serde(default)]
    pub validator: Option<String>,
    /// A name of it was proved in this way.
    #[serde(default)]
    #[schemars(with = "Option<shape::Method>")]
    pub method: Option<Method>,
}

/// What one step of looking found.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Found {
    /// The certificates.
    #[schemars(with = "Vec<shape::Serial>")]
    pub serials: Vec<Serial>,
    /// The `cursor` of the next step, if there is more to look at.
    #[schemars(with = "Option<shape::Serial>")]
    pub next: Option<Serial>,
}

/// Most certificates in one request.
pub const MOST: usize = 1000;

pub(super) async fn revoke(
    permitted: PermittedOwn<access::Revoke>,
    State(services): State<Arc<Services>>,
    Path(serial): Path,
    Body(revocation): Body<Revocation>,
) -> Result<NoContent, Problem> {
    let serial = read_serial(&serial)?;
    let deed = Deed::from(&Act::Revoke(revocation));
    match services.act(&permitted, &[serial], deed).await.map_err(failure::problem)? {
        0 => Err(Problem::from(&Failure::from(RevokeError::Already(deed.word())))),
        _ => Ok(NoContent),
    }
}

pub(super) async fn act(
    permitted: PermittedOwn<access::Revoke>,
    State(services): State<Arc<Services>>,
    Body(Acts { deed, serials }): Body<Acts>,
) -> Result<Json<Done>, Problem> {
    if serials.len() > MOST {
        let detail = format!("at most {MOST} certificates can be named at once: send more requests");
        return Err(Problem::plain(StatusCode::BAD_REQUEST, detail));
    }
    let changed = services.act(&permitted, &serials, Deed::from(&deed)).await.map_err(failure::problem)?;
    Ok(Json(Done { changed: changed as u64 }))
}

pub(super) async fn find(
    permitted: Permitted<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    Body(question): Body<Question>,
) -> Result<Json<Found>, Problem> {
    let Question { deed, cursor, account, profile, issued_after, issued_before, validator, method } = question;
    let asked = revocation::Question {
        actor: account.map(|account| format!("acme:{account}")),
        profile,
        issued_after: issued_after.map(UnixTime),
        issued_before: issued_before.map(UnixTime),
        validator,
        method,
    };
    let found = services.find(&permitted, &asked, Deed::from(&deed), cursor).map_err(failure::problem)?;
    Ok(Json(Found { serials: found.serials, next: found.next }))
}

impl From<&Act> for Deed {
    fn from(act: &Act) -> Self {
        match act {
            Act::Hold => Self::Hold,
            Act::Release => Self::Release,
            Act::Revoke(Revocation { reason, invalidity_date }) => {
                Self::Revoke { reason: reason.map(Reason::code), invalidity: invalidity_date.map(UnixTime) }
            }
        }
    }
}
