//! `private/admins`: administrators. They are known by their certificates, not by what these call them:
//! a name adds nobody, and removes whoever alone has it.

use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::answer::{Data, Message};
use super::super::body::{Fields, Refusal};
use super::super::error::Error;
use super::super::{Upki, name};
use crate::api::access::{EnrolAdministrator, ManageAdministrators, Permitted, ReadAdministrators};

#[derive(Serialize)]
pub(in super::super) struct Admins {
    admins: Vec<Admin>,
}

#[derive(Serialize)]
struct Admin {
    dn: String,
}

#[derive(Serialize)]
pub(in super::super) struct Results {
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    dn: String,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

pub(in super::super) async fn list(
    permitted: Permitted<ReadAdministrators>,
    State(upki): State<Upki>,
) -> Result<Data<Admins>, Error> {
    let all = upki.administrators(&permitted).map_err(|error| Error::internal(&error.to_string()))?;
    let active = all.into_iter().filter(|one| one.removed.is_none());
    Ok(Data(Admins { admins: active.map(|one| Admin { dn: dn(&one.name) }).collect() }))
}

pub(in super::super) async fn add(
    permitted: Permitted<EnrolAdministrator>,
    State(upki): State<Upki>,
    mut fields: Fields,
) -> Result<Data<Results>, Refusal> {
    let wanted = fields.required_texts("admins");
    fields.end()?;
    if wanted.is_empty() || wanted.len() > MOST {
        return Err(Error::validation(format!("No admins provided, or more than {MOST}: name them in `admins`")).into());
    }
    let all = upki.administrators(&permitted).map_err(|error| Error::internal(&error.to_string()))?;
    let outcome = |wanted: String| {
        let is_there = all.iter().any(|one| one.removed.is_none() && same(&one.name, &wanted));
        Outcome { dn: wanted, success: is_there, error: (!is_there).then_some(HOW_TO_ENROL) }
    };
    Ok(Data(Results { results: wanted.into_iter().map(outcome).collect() }))
}

pub(in super::super) async fn remove(
    permitted: Permitted<ManageAdministrators>,
    State(upki): State<Upki>,
    Path(wanted): Path<String>,
) -> Result<Message, Error> {
    let decoded = STANDARD.decode(&wanted).ok().and_then(|octets| String::from_utf8(octets).ok());
    let wanted = decoded.filter(|text| text.contains('=')).unwrap_or(wanted);
    let all = upki.administrators(&permitted).map_err(|error| Error::internal(&error.to_string()))?;
    let named: Vec<_> = all.iter().filter(|one| one.removed.is_none() && same(&one.name, &wanted)).collect();
    match named[..] {
        [one] => {
            let removed = upki.remove_administrator(&permitted, &one.fingerprint).await;
            removed.map_err(|error| Error::from(crate::service::Failure::from(error)))?;
            Ok(Message("Admin removed"))
        }
        [] => Err(Error::failed("Failed to remove admin: nobody has this name")),
        _ => Err(Error::failed("Failed to remove admin: several have this name, use `signetctl admin remove`")),
    }
}

/// Most that one request may name.
const MOST: usize = 100;

const HOW_TO_ENROL: &str = "a name makes nobody an administrator: enrol his certificate with `signetctl admin add`";

fn dn(name: &str) -> String {
    format!("/CN={}", name.replace('/', "\\/"))
}

/// uPKI compares names without regard to case.
fn same(name: &str, wanted: &str) -> bool {
    dn(name).to_lowercase() == wanted.to_lowercase() || name::common_name(wanted).to_lowercase() == name.to_lowercase()
}
