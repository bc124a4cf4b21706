//! `GET /admin/v1/certificates`, `…/certificates/export` and `…/certificates/{serial}`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method};
use policy::name::Name;
use policy::serial::Serial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::path::Path;
use super::query::Query;
use super::{encoding, failure};
use crate::api::access::{self, PermittedOwn};
use crate::problem::Problem;
use crate::service::certificates::Certificate;
use crate::service::rights;
use crate::service::search::{self, Cursor, Ground, NamePattern, Period, Search, SearchError, SerialPrefix, Status};
use crate::service::{Failure, Services};
use crate::shape;

/// A certificate in a list. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ListedCertificate")]
pub struct Listed {
    /// Serial number, hexadecimal.
    #[schemars(with = "shape::Serial")]
    pub serial: Serial,
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Its names.
    pub names: Vec<String>,
    /// The profile's name, or the role for certificates of our own.
    pub profile: String,
    /// `valid`, `expired`, `held` or `revoked`.
    pub status: String,
    /// When it was signed.
    pub at: u64,
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
    /// Set once it is revoked.
    pub revoked: Option<Revoked>,
}

/// That a certificate is revoked.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "RevokedSince")]
pub struct Revoked {
    /// Since when, in seconds since 1970.
    pub at: u64,
    /// The code of RFC 5280 section 5.3.1, if a reason was given.
    pub reason: Option<u8>,
}

/// One page of a list. A page may hold fewer than `limit`, even none, and have a next one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T = Listed> {
    /// The certificates.
    pub certificates: Vec<T>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<String>,
}

/// One certificate, whole.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Certificate")]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub listed: Listed,
    /// Why it was signed.
    #[schemars(with = "shape::AuthorizationRecord")]
    pub record: AuthorizationRecord,
    /// DER, base64.
    #[serde(with = "encoding")]
    #[schemars(with = "shape::Bytes")]
    pub certificate: Vec<u8>,
}

/// Which certificates: those that every parameter fits. Times are seconds since 1970; `…_after` is
/// the first second that fits, `…_before` the first that does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "CertificateParameters")]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Id of the ACME account that ordered them.
    pub account: Option<String>,
    /// Who asked for them, as the journal says it.
    pub actor: Option<String>,
    /// The address that showed control of a name.
    #[schemars(with = "Option<shape::Address>")]
    pub address: Option<IpAddr>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Whose last second is that or a later one.
    pub expires_after: Option<u64>,
    /// Whose last second is an earlier one.
    pub expires_before: Option<u64>,
    /// That are over in so many seconds from now, and not yet.
    pub expires_within: Option<u64>,
    /// Signed then or later.
    pub issued_after: Option<u64>,
    /// Signed before.
    pub issued_before: Option<u64>,
    /// At most so many on one page; of whole certificates 100.
    #[schemars(range(min = 1, max = search::MOST))]
    pub limit: Option<usize>,
    /// How a name was proved.
    #[schemars(with = "Option<shape::Method>")]
    pub method: Option<String>,
    /// A name: exactly, `*.below.it`, or `*holding*`.
    pub name: Option<String>,
    /// The node that they were made for.
    pub node: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// How the serial number begins, hexadecimal.
    #[schemars(with = "Option<shape::SerialPrefix>")]
    pub serial: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    #[schemars(with = "Option<shape::Sha256>")]
    pub spki: Option<String>,
    /// `valid`, `expired`, `held` or `revoked`.
    #[schemars(with = "Option<shape::CertificateStatus>")]
    pub status: Option<String>,
    /// The version of the validator that proved a name.
    pub validator: Option<String>,
}

pub(super) async fn list(
    permitted: PermittedOwn<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page>, Problem> {
    page(&services, &permitted, &parameters, search::MOST, Listed::of)
}

pub(super) async fn export(
    permitted: PermittedOwn<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page<Shown>>, Problem> {
    page(&services, &permitted, &parameters, MOST_WHOLE, Shown::of)
}

pub(super) async fn show(
    permitted: PermittedOwn<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    Path(serial): Path,
) -> Result<Json<Shown>, Problem> {
    let serial = read_serial(&serial)?;
    match services.certificate(&permitted, serial).map_err(failure::problem)? {
        None => Err(Problem::plain(StatusCode::NOT_FOUND, "no certificate has this serial number")),
        Some(found) => Ok(Json(Shown::of(&found, services.clock.now()))),
    }
}

fn page<T>(
    services: &Services,
    permitted: &rights::Permitted,
    parameters: &Parameters,
    most: usize,
    present: impl Fn(&Certificate, UnixTime) -> T,
) -> Result<Json<Page<T>>, Problem> {
    let (mut search, cursor, limit) = read(parameters, most).map_err(|why| failure::problem(Failure::Invalid(why)))?;
    if let Some(seconds) = parameters.expires_within {
        let now = services.clock.now();
        search.expires = Period { from: Some(now), until: Some(now.plus(seconds)) };
    }
    let found = services.search(permitted, &search, cursor.as_ref(), limit).map_err(|error| match error {
        SearchError::Cursor => failure::problem(Failure::Invalid(error.to_string())),
        SearchError::Store(error) => failure::problem(error),
    })?;
    let now = services.clock.now();
    let certificates = found.certificates.iter().map(|certificate| present(certificate, now)).collect();
    Ok(Json(Page { certificates, next: found.next.map(|cursor| cursor.to_string()) }))
}

/// The serial number in a path.
pub(super) fn read_serial(text: &str) -> Result<Serial, Problem> {
    text.parse().map_err(|error| Problem::plain(StatusCode::BAD_REQUEST, format!("{error}")))
}

/// What the parameters ask for, or what is wrong with them.
pub(super) fn read(parameters: &Parameters, most: usize) -> Result<(Search, Option<Cursor>, usize), String> {
    fn parse<T, E: ToString>(text: Option<&String>, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, String> {
        text.map(|text| parse(text).map_err(|error| error.to_string())).transpose()
    }
    let asked = parameters;
    let limit = match asked.limit.unwrap_or(DEFAULT_LIMIT.min(most)) {
        limit if (1..=most).contains(&limit) => limit,
        _ => return Err(format!("`limit` is a number from 1 to {most}")),
    };
    let actors = [asked.account.as_ref().map(|id| format!("acme:{id}")), asked.actor.clone()];
    let mut grounds: Vec<Ground> = actors.into_iter().flatten().map(Ground::Actor).collect();
    grounds.extend(asked.node.clone().map(Ground::Node));
    grounds.extend(asked.address.map(Ground::Address));
    grounds.extend(asked.validator.clone().map(Ground::Validator));
    grounds.extend(parse(asked.method.as_ref(), str::parse::<Method>)?.map(Ground::Method));
    let period =
        |from: Option<u64>, until: Option<u64>| Period { from: from.map(UnixTime), until: until.map(UnixTime) };
    let search = Search {
        grounds,
        name: parse(asked.name.as_ref(), NamePattern::parse)?,
        profile: asked.profile.clone(),
        serial: parse(asked.serial.as_ref(), SerialPrefix::parse)?,
        spki: parse(asked.spki.as_ref(), read_hash)?,
        status: parse(asked.status.as_ref(), read_status)?,
        issued: period(asked.issued_after, asked.issued_before),
        expires: period(asked.expires_after, asked.expires_before),
    };
    Ok((search, parse(asked.cursor.as_ref(), str::parse)?, limit))
}

fn read_status(text: &str) -> Result<Status, &'static str> {
    let known = Status::ALL.into_iter().find(|(_, name)| *name == text);
    known.map(|(status, _)| status).ok_or("`status` is valid, expired, held or revoked")
}

fn read_hash(text: &str) -> Result<[u8; 32], &'static str> {
    const WRONG: &str = "`spki` is a SHA-256, 64 hexadecimal digits";
    if text.len() != 64 || !text.is_ascii() {
        return Err(WRONG);
    }
    let mut hash = [0; 32];
    for (octet, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *octet = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| WRONG)?;
    }
    Ok(hash)
}

const DEFAULT_LIMIT: usize = 100;

/// Most certificates on one page of whole ones: some hundred kilobytes.
pub const MOST_WHOLE: usize = 100;

impl Listed {
    fn of(certificate: &Certificate, now: UnixTime) -> Self {
        Self {
            serial: certificate.serial,
            subject: certificate.subject.clone(),
            names: certificate.names.iter().map(Name::to_string).collect(),
            profile: certificate.profile.clone(),
            status: certificate.status(now).as_str().to_owned(),
            at: certificate.at.0,
            not_before: certificate.not_before.0,
            not_after: certificate.not_after.0,
            revoked: certificate.revoked.map(|(at, reason)| Revoked { at: at.0, reason }),
        }
    }
}

impl Shown {
    fn of(certificate: &Certificate, now: UnixTime) -> Self {
        Self {
            listed: Listed::of(certificate, now),
            record: certificate.record.clone(),
            certificate: certificate.der.clone(),
        }
    }
}
