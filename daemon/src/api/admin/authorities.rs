//! `/admin/v1/authorities`: issuing CAs: list, show, create, sign, upload, enable, disable, retire, revoke,
//! and certificates by a chosen one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::effects::UnixTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::failure;
use super::issue::{self, Issue, Issuing};
use super::path::Path;
use super::revoke::Reason;
use crate::api::access::{self, Permitted, PermittedOwn};
use crate::problem::Problem;
use crate::service::authorities::{
    self, AuthorityNumber, CEREMONY, KeyKind, Kind, NewAuthority, Standing, SubjectFields,
};
use crate::service::{Failure, Services};
use crate::shape;

/// An issuing CA. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Authority {
    /// Its number; 1 is the one that the ceremony made.
    pub number: u32,
    /// Label of its key in the token, by which journal, CRLs and metrics call it.
    pub label: String,
    /// The profile that allows it; none for the ceremony's.
    pub profile: Option<String>,
    /// What it may do: `planned`, `pending`, `enabled`, `disabled`, `retired`.
    #[schemars(with = "shape::AuthorityStanding")]
    pub standing: Standing,
    /// `self-signed` or `intermediate`.
    #[schemars(with = "shape::AuthorityKind")]
    pub kind: Kind,
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Key identifier, hexadecimal: what the URLs of its CRL and certificate call it.
    pub key_identifier: Option<String>,
    /// Its CSR, PEM.
    pub csr: Option<String>,
    /// Its certificate and those above it, PEM, its own first.
    pub chain: Vec<String>,
    /// Last second of its certificate.
    pub not_after: Option<u64>,
    /// When its certificate was revoked, if a CA of this appliance had signed it.
    pub revoked: Option<u64>,
    /// When it was planned.
    pub created: Option<u64>,
    /// When it last changed.
    pub changed: Option<u64>,
    /// By whom, in the words of the journal.
    pub changed_by: Option<String>,
}

/// An authority to be made. Its key is made in the token.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NewAuthority")]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The profile with a section `[authority]` that allows it.
    pub profile: String,
    /// `self-signed` or `intermediate`.
    #[schemars(with = "shape::AuthorityKind")]
    pub kind: Kind,
    /// Kind of its key: `p256`, `p384`, `rsa2048`, `rsa3072`, `rsa4096`, `ed25519`.
    #[schemars(with = "shape::KeyKind")]
    pub key: KeyKind,
    /// Its subject.
    #[schemars(with = "shape::SubjectFields")]
    pub subject: SubjectFields,
    /// Subject alternative names, DNS.
    #[serde(default)]
    pub names: Vec<String>,
    /// Last second of its certificate.
    #[serde(default)]
    pub not_after: Option<u64>,
}

/// Who signs an authority's certificate.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Number of the authority that signs.
    pub by: u32,
}

/// A certificate that another CA has signed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// PEM: the authority's certificate, and those above it in order.
    pub chain: String,
}

/// Why an authority's certificate is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "AuthorityRevocation")]
#[serde(deny_unknown_fields, default)]
pub struct Revoke {
    /// The reason, if one is given.
    pub reason: Option<Reason>,
}

type Answer = Result<Json<Authority>, Problem>;

pub(super) async fn list(
    permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Vec<Authority>>, Problem> {
    let all = services.authorities(&permitted).map_err(failure::problem)?;
    Ok(Json(all.into_iter().map(Authority::from).collect()))
}

pub(super) async fn show(
    permitted: Permitted<access::ReadStatus>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
) -> Answer {
    answer(services.authority(&permitted, read(&number)?))
}

pub(super) async fn create(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Body(asked): Body<Create>,
) -> Result<New<Authority>, Problem> {
    let Create { profile, kind, key, subject, names, not_after } = asked;
    let new = NewAuthority { profile, kind, key, subject, names, not_after: not_after.map(UnixTime) };
    answer(services.create_authority(&permitted, new).await).map(|Json(authority)| New(authority))
}

pub(super) async fn sign(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
    Body(Sign { by }): Body<Sign>,
) -> Answer {
    answer(services.sign_authority(&permitted, read(&number)?, by).await)
}

pub(super) async fn upload(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
    Body(Upload { chain }): Body<Upload>,
) -> Answer {
    answer(services.upload_authority(&permitted, read(&number)?, &chain).await)
}

pub(super) async fn enable(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
) -> Answer {
    answer(services.enable_authority(&permitted, read(&number)?).await)
}

pub(super) async fn disable(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
) -> Answer {
    answer(services.disable_authority(&permitted, read(&number)?).await)
}

pub(super) async fn retire(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
) -> Answer {
    answer(services.retire_authority(&permitted, read(&number)?).await)
}

pub(super) async fn revoke(
    permitted: Permitted<access::ManageAuthorities>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
    Body(Revoke { reason }): Body<Revoke>,
) -> Answer {
    answer(services.revoke_authority(&permitted, read(&number)?, reason.map(Reason::code)).await)
}

pub(super) async fn issue(
    permitted: PermittedOwn<access::Certify>,
    State(services): State<Arc<Services>>,
    Path(number): Path,
    Body(asked): Body<Issue>,
) -> Result<Issuing, Problem> {
    let wanted = issue::wanted(asked)?;
    let issued = match read(&number)? {
        CEREMONY => services.issue(&permitted, wanted).await,
        number => match AuthorityNumber::try_from(number) {
            Ok(number) => services.issue_by(&permitted, wanted, number).await,
            Err(_) => return Err(failure::problem(Failure::Missing(format!("there is no authority {number}")))),
        },
    };
    issue::answer(issued)
}

fn read(number: &str) -> Result<u32, Problem> {
    let missing = |_| failure::problem(Failure::Missing("there is no such authority".to_owned()));
    number.parse().map_err(missing)
}

fn answer(outcome: Result<authorities::Authority, Failure>) -> Answer {
    outcome.map(|authority| Json(authority.into())).map_err(failure::problem)
}

impl From<authorities::Authority> for Authority {
    fn from(authority: authorities::Authority) -> Self {
        let (changed, changed_by) = authority.changed.map(|(at, by)| (at.0, by)).unzip();
        Self {
            number: authority.number,
            label: authority.label,
            profile: authority.profile,
            standing: authority.standing,
            kind: authority.kind,
            subject: authority.subject,
            key_identifier: authority.key_identifier,
            csr: authority.csr,
            chain: authority.chain,
            not_after: authority.not_after.map(|at| at.0),
            revoked: authority.revoked.map(|at| at.0),
            created: authority.created.map(|at| at.0),
            changed,
            changed_by,
        }
    }
}
