//! `POST /admin/v1/certificates`, `POST /admin/v1/certificates/{serial}/renew`: a certificate on the
//! word of the administrator who asks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use policy::effects::UnixTime;
use policy::name::Name;
use policy::serial::Serial;
use policy::validity::Requested;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::certificates::read_serial;
use super::failure;
use super::path::Path;
use crate::api::access::{self, PermittedOwn};
use crate::api::route::{Answer, Content};
use crate::api::secret::{self, Secret};
use crate::problem::Problem;
use crate::service::issue::{self, CallId, Completes, IssueFailure, KeyKind, Wanted, WantedKey, Warrant};
use crate::service::{Failure, Services};
use crate::shape;

/// A certificate that is asked for: its key is that of `csr`, or made as `generate` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Issue {
    /// The profile.
    pub profile: String,
    /// A CSR, PEM. Only its key is taken, and its names if none are given.
    pub csr: Option<String>,
    /// Kind of the key to be made: `p256`, `p384`, `ed25519`, `rsa2048`, `rsa3072`, `rsa4096`.
    #[schemars(with = "Option<shape::KeyKind>")]
    pub generate: Option<KeyKind>,
    /// The names.
    pub names: Option<Vec<String>>,
    /// The common name, where the profile lets it be chosen.
    pub common_name: Option<String>,
    /// First second, in seconds since 1970.
    pub not_before: Option<u64>,
    /// Last second, in seconds since 1970.
    pub not_after: Option<u64>,
    /// A name for this request, 1 to 64 visible ASCII characters: repeated with the same CSR it gets
    /// the same certificate.
    pub call: Option<String>,
}

/// A renewal: what is not said here is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Renew {
    /// A CSR, PEM, for the same names or for none.
    pub csr: Option<String>,
    /// Kind of the key to be made.
    #[schemars(with = "Option<shape::KeyKind>")]
    pub generate: Option<KeyKind>,
    /// Last second, in seconds since 1970.
    pub not_after: Option<u64>,
}

/// A certificate that was issued (201), or the request that waits for somebody's approval (202).
#[derive(Default, JsonSchema, Serialize, Deserialize)]
pub struct Issued {
    /// Serial number, hexadecimal.
    #[schemars(with = "Option<shape::Serial>")]
    pub serial: Option<Serial>,
    /// PEM: the certificate and the issuing one.
    pub chain: Option<String>,
    /// The key that was made for it: PKCS#8, PEM. It is not kept.
    #[schemars(with = "Option<String>")]
    pub private_key: Option<Secret>,
    /// Id of the request that waits, if there is no certificate yet.
    pub request: Option<String>,
}

pub(super) async fn issue(
    permitted: PermittedOwn<access::Certify>,
    State(services): State<Arc<Services>>,
    Body(asked): Body<Issue>,
) -> Result<Issuing, Problem> {
    let wanted = wanted(asked)?;
    answer(services.issue(&permitted, wanted).await)
}

pub(super) async fn renew(
    permitted: PermittedOwn<access::RenewOwn>,
    State(services): State<Arc<Services>>,
    Path(serial): Path,
    Body(asked): Body<Renew>,
) -> Result<Issuing, Problem> {
    let serial = read_serial(&serial)?;
    let key = key(asked.csr.as_deref(), asked.generate)?;
    let requested = Requested { not_before: None, not_after: asked.not_after.map(UnixTime) };
    answer(services.renew(&permitted, SURFACE, serial, key, requested).await)
}

/// What the service layer makes of it.
pub(super) fn wanted(asked: Issue) -> Result<Wanted, Problem> {
    let invalid = |why: String| Problem::from(&Failure::Invalid(why));
    let name = |text: &String| Name::parse(&text.to_ascii_lowercase()).map_err(|error| invalid(error.to_string()));
    let completes = match &asked.call {
        Some(_) if asked.generate.is_some() => {
            return Err(invalid("a call that makes a key cannot be repeated: leave `call` out".into()));
        }
        Some(call) => Completes::Call(CallId::parse(call).map_err(|error| invalid(error.to_string()))?),
        None => Completes::Nothing,
    };
    Ok(Wanted {
        surface: SURFACE,
        profile: asked.profile,
        key: key(asked.csr.as_deref(), asked.generate)?,
        names: asked.names.map(|names| names.iter().map(name).collect()).transpose()?,
        common_name: asked.common_name,
        requested: Requested { not_before: asked.not_before.map(UnixTime), not_after: asked.not_after.map(UnixTime) },
        warrant: Warrant::Administrator { replaces: None },
        completes,
        node: None,
    })
}

fn key(csr: Option<&str>, generate: Option<KeyKind>) -> Result<WantedKey, Problem> {
    match (csr, generate) {
        (Some(csr), None) => WantedKey::csr(csr.as_bytes()).map_err(failure::problem),
        (None, Some(kind)) => Ok(WantedKey::Generate(kind)),
        _ => Err(Problem::from(&Failure::Invalid("write one of `csr` and `generate`".into()))),
    }
}

pub(super) fn answer(issued: Result<issue::Issued, IssueFailure>) -> Result<Issuing, Problem> {
    match issued {
        Ok(issue::Issued { serial, chain, private_key, .. }) => {
            let private_key = private_key.map(|key| Secret(key.to_pem()));
            let issued = Issued { serial: Some(serial), chain: Some(chain), private_key, request: None };
            Ok(Issuing(StatusCode::CREATED, issued))
        }
        Err(IssueFailure::Pending(id)) => {
            Ok(Issuing(StatusCode::ACCEPTED, Issued { request: Some(id), ..Issued::default() }))
        }
        Err(failure) => Err(failure::problem(failure)),
    }
}

/// A certificate, or the request that waits for somebody's approval.
pub(super) struct Issuing(StatusCode, Issued);

impl IntoResponse for Issuing {
    fn into_response(self) -> Response {
        secret::json(self.0, &self.1)
    }
}

impl Answer for Issuing {
    fn answers() -> Vec<(StatusCode, Option<Content>)> {
        [StatusCode::CREATED, StatusCode::ACCEPTED].map(|status| (status, Some(Content::json::<Issued>()))).into()
    }
}

/// What the metrics call this surface.
const SURFACE: &str = "admin";
