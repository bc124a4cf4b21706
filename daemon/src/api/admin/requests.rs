//! `GET` and `POST /admin/v1/requests`, `GET /admin/v1/requests/{request}`, and `…/approve` and `…/reject`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::name::Name;
use policy::serial::Serial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::failure;
use super::issue::{Issue, Issuing, answer, wanted};
use super::path::Path;
use super::query::Query;
use crate::api::access::{self, Permitted, PermittedOwn};
use crate::problem::Problem;
use crate::service::requests::{self, RequestState};
use crate::service::{Failure, Services};
use crate::shape;

/// A request for a certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// `pending`, `approved`, `issued`, `rejected` or `expired`.
    pub status: String,
    /// SHA-256 of what is asked for, hexadecimal; a decision names it.
    pub digest: String,
    /// Who asked, in the words of the journal.
    pub requester: String,
    /// When.
    pub created: u64,
    /// Last second in which it can be decided.
    pub expires: u64,
    /// The profile.
    pub profile: String,
    /// The names.
    pub names: Vec<String>,
    /// The common name, if it was chosen.
    pub common_name: Option<String>,
    /// Last second of the certificate, if it was chosen.
    pub not_after: Option<u64>,
    /// The certificate that is to be renewed, if one is.
    #[schemars(with = "Option<shape::Serial>")]
    pub replaces: Option<Serial>,
    /// SHA-256 of the key that is to be certified (SubjectPublicKeyInfo), hexadecimal.
    pub spki: String,
    /// Who decided, in the words of the journal.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<u64>,
    /// Why it was rejected.
    pub why: Option<String>,
    /// The certificate that was issued.
    #[schemars(with = "Option<shape::Serial>")]
    pub certificate: Option<Serial>,
}

/// One page of requests, the latest first.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Requests")]
pub struct Page {
    /// The requests.
    pub requests: Vec<Request>,
    /// The `before` of the next page, if there is one.
    pub next: Option<String>,
}

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// `next` of the page before.
    pub before: Option<String>,
    /// At most so many on one page.
    #[schemars(range(min = 1, max = requests::MOST))]
    pub limit: Option<usize>,
    /// `pending`, `approved`, `issued`, `rejected` or `expired`.
    #[schemars(with = "Option<shape::RequestStatus>")]
    pub status: Option<String>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The digest of what was looked at.
    pub digest: String,
}

/// A rejection.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The digest of what was looked at.
    pub digest: String,
    /// Why, in one line of at most 200 octets.
    pub why: String,
}

pub(super) async fn list(
    permitted: PermittedOwn<access::ReadRequests>,
    State(services): State<Arc<Services>>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, Problem> {
    let bad = |why: String| failure::problem(Failure::Invalid(why));
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=requests::MOST).contains(&limit) {
        return Err(bad(format!("`limit` is a number from 1 to {}", requests::MOST)));
    }
    if parameters.status.as_ref().is_some_and(|status| !requests::STATUSES.contains(&status.as_str())) {
        return Err(bad(format!("`status` is one of {}", requests::STATUSES.join(", "))));
    }
    if parameters.before.as_ref().is_some_and(|id| !requests::is_id(id)) {
        return Err(bad("`before` is the id of a request".to_owned()));
    }
    let found = services.requests(&permitted, parameters.status.as_deref(), parameters.before.as_deref(), limit);
    let found = found.map_err(failure::problem)?;
    Ok(Json(Page { requests: found.requests.iter().map(Request::from).collect(), next: found.next }))
}

pub(super) async fn create(
    permitted: PermittedOwn<access::SubmitRequest>,
    State(services): State<Arc<Services>>,
    Body(asked): Body<Issue>,
) -> Result<New<Request>, Problem> {
    let request = services.submit(&permitted, &wanted(asked)?).await.map_err(failure::problem)?;
    Ok(New(Request::from(&request)))
}

pub(super) async fn show(
    permitted: PermittedOwn<access::ReadRequests>,
    State(services): State<Arc<Services>>,
    Path(id): Path,
) -> Result<Json<Request>, Problem> {
    Ok(Json(Request::from(&services.request(&permitted, &id).map_err(failure::problem)?)))
}

pub(super) async fn approve(
    permitted: Permitted<access::Approve>,
    State(services): State<Arc<Services>>,
    Path(id): Path,
    Body(Approval { digest }): Body<Approval>,
) -> Result<Issuing, Problem> {
    answer(services.approve(&permitted, &id, &digest).await)
}

pub(super) async fn reject(
    permitted: Permitted<access::Approve>,
    State(services): State<Arc<Services>>,
    Path(id): Path,
    Body(Rejection { digest, why }): Body<Rejection>,
) -> Result<Json<Request>, Problem> {
    if !(1..=MAX_WHY).contains(&why.len()) || why.chars().any(char::is_control) {
        let words = format!("`why` is one line of at most {MAX_WHY} octets");
        return Err(Problem::from(&Failure::Invalid(words)));
    }
    let request = services.reject(&permitted, &id, &digest, &why).await.map_err(failure::problem)?;
    Ok(Json(Request::from(&request)))
}

const DEFAULT_LIMIT: usize = 100;

/// Longest reason, in octets: it goes to the journal.
const MAX_WHY: usize = 200;

impl From<&requests::Request> for Request {
    fn from(request: &requests::Request) -> Self {
        let record = &request.record;
        let (by, at, why, certificate) = match &record.state {
            RequestState::Approved { by, at } => (Some(by), Some(at), None, None),
            RequestState::Issued { by, at, certificate } => (Some(by), Some(at), None, Some(*certificate)),
            RequestState::Pending => (None, None, None, None),
            RequestState::Rejected { by, at, why } => (Some(by), Some(at), Some(why), None),
        };
        Self {
            id: request.id.clone(),
            status: request.status().to_owned(),
            digest: request.digest.clone(),
            requester: record.requester.clone(),
            created: record.created.0,
            expires: record.expires.0,
            profile: record.asked.profile.clone(),
            names: record.asked.names.iter().map(Name::to_string).collect(),
            common_name: record.asked.common_name.clone(),
            not_after: record.asked.requested.not_after.map(|time| time.0),
            replaces: record.asked.replaces,
            spki: request.spki.clone(),
            decided_by: by.cloned(),
            decided_at: at.map(|at| at.0),
            why: why.cloned(),
            certificate,
        }
    }
}
