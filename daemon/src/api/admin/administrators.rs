//! `/admin/v1/administrators`: enrol, renew, list, show, give roles, remove.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use http::StatusCode;
use policy::tbs::Certificate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::path::Path;
use super::{csr, failure};
use crate::api::access::{self, Permitted, PermittedOwn};
use crate::problem::Problem;
use crate::service::administrators::Role;
use crate::service::{Services, administrators};
use crate::shape;

/// An administrator. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Administrator {
    /// SHA-256 of his certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject common name of his certificate.
    pub name: String,
    /// What he may do.
    #[schemars(with = "shape::Role")]
    pub role: Role,
    /// When he was enrolled.
    pub enrolled: u64,
    /// When he was removed, if he was.
    pub removed: Option<u64>,
}

/// Somebody to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// His name, which becomes the subject common name.
    pub name: String,
    /// What he may do.
    #[schemars(with = "shape::Role")]
    pub role: Role,
    /// His CSR, PEM: his key, and the proof that he holds it. Nothing else of it is used.
    pub csr: String,
}

/// One's own certificate, to be replaced.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "RenewAdministrator")]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// A CSR with the new key, PEM.
    pub csr: String,
}

/// An administrator who was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who.
    #[serde(flatten)]
    pub administrator: Administrator,
    /// His certificate and the issuing one, PEM.
    pub chain: String,
}

/// Another role.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// Which.
    #[schemars(with = "shape::Role")]
    pub role: Role,
}

pub(super) async fn enrol(
    permitted: Permitted<access::EnrolAdministrator>,
    State(services): State<Arc<Services>>,
    Body(Enrol { name, role, csr }): Body<Enrol>,
) -> Result<New<Enrolled>, Problem> {
    let csr = csr::read(&csr)?;
    let enrolled = services.enrol_administrator(&permitted, &name, role, &csr).await.map_err(failure::problem)?;
    Ok(New(render(&services, enrolled)?))
}

pub(super) async fn renew(
    permitted: PermittedOwn<access::RenewOwn>,
    State(services): State<Arc<Services>>,
    Body(Renew { csr }): Body<Renew>,
) -> Result<New<Enrolled>, Problem> {
    let csr = csr::read(&csr)?;
    let enrolled = services.renew_administrator(&permitted, &csr).await.map_err(failure::problem)?;
    Ok(New(render(&services, enrolled)?))
}

pub(super) async fn show(
    permitted: Permitted<access::ReadAdministrators>,
    State(services): State<Arc<Services>>,
    Path(fingerprint): Path,
) -> Result<Json<Administrator>, Problem> {
    let found = services.administrator(&permitted, &fingerprint.to_ascii_lowercase()).map_err(failure::problem)?;
    let missing = || Problem::plain(StatusCode::NOT_FOUND, "no administrator has this fingerprint");
    found.map(|one| Json(one.into())).ok_or_else(missing)
}

pub(super) async fn set_role(
    permitted: Permitted<access::ManageAdministrators>,
    State(services): State<Arc<Services>>,
    Path(fingerprint): Path,
    Body(SetRole { role }): Body<SetRole>,
) -> Result<NoContent, Problem> {
    services.set_role(&permitted, &fingerprint.to_ascii_lowercase(), role).await.map_err(failure::problem)?;
    Ok(NoContent)
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
    Path(fingerprint): Path,
) -> Result<NoContent, Problem> {
    services.remove_administrator(&permitted, &fingerprint.to_ascii_lowercase()).await.map_err(failure::problem)?;
    Ok(NoContent)
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

fn render(services: &Services, enrolled: administrators::Enrolled) -> Result<Enrolled, Problem> {
    let pem = |der: &[u8]| Certificate::from_der(der).map(|one| one.to_pem()).map_err(|_| Problem::internal());
    let chain = pem(&enrolled.certificate)? + &pem(services.issuer.now().certificate())?;
    Ok(Enrolled { administrator: enrolled.administrator.into(), chain })
}
