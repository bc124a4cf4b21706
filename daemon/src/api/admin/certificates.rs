//! `GET /admin/v1/certificates` and `GET /admin/v1/certificates/{serial}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use super::{encoding, failure};
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::certificates::{Ground, Which};
use crate::service::{Services, certificates};

/// A certificate in a list. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Serial number, hexadecimal.
    pub serial: Serial,
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Its names.
    pub names: Vec<String>,
    /// The profile's name, or the role for certificates of our own.
    pub profile: String,
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
    /// Set once it is revoked.
    pub revoked: Option<Revoked>,
}

/// That a certificate is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Since when, in seconds since 1970.
    pub at: u64,
    /// The code of RFC 5280 section 5.3.1, if a reason was given.
    pub reason: Option<u8>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The certificates, by serial number.
    pub certificates: Vec<Listed>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<Serial>,
}

/// One certificate, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub listed: Listed,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
    /// Why it was signed.
    pub record: AuthorizationRecord,
    /// DER, base64.
    #[serde(with = "encoding")]
    pub certificate: Vec<u8>,
}

pub(super) async fn list(
    permitted: Permitted<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    let page = services.certificates(&permitted, &parse(query.as_deref().unwrap_or(""))?).map_err(failure::problem)?;
    Ok(Json(Page { certificates: page.certificates.iter().map(Listed::from).collect(), next: page.next }))
}

pub(super) async fn show(
    permitted: Permitted<access::ListCertificates>,
    State(services): State<Arc<Services>>,
    Path(serial): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let serial = read_serial(&serial)?;
    match services.certificate(&permitted, serial).map_err(failure::problem)? {
        None => Err(Problem::plain(StatusCode::NOT_FOUND, "no certificate has this serial number")),
        Some(found) => Ok(Json(Shown {
            listed: Listed::from(&found),
            at: found.at.0,
            record: found.record,
            certificate: found.der,
        })),
    }
}

/// The serial number in a path.
pub(super) fn read_serial(text: &str) -> Result<Serial, Problem> {
    text.parse().map_err(|error| Problem::plain(StatusCode::BAD_REQUEST, format!("{error}")))
}

/// `limit`, `cursor` and one of [`WHICH`]; names and digits need no percent-encoding, save
/// for `*` and `:`, which are taken either way.
pub(super) fn parse(query: &str) -> Result<certificates::Query, Problem> {
    let bad = |why: String| Problem::plain(StatusCode::BAD_REQUEST, why);
    let mut parsed = certificates::Query { after: None, limit: DEFAULT_LIMIT, which: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (field, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace("%2A", "*").replace("%2a", "*").replace("%3A", ":").replace("%3a", ":");
        match field {
            "cursor" => parsed.after = Some(read_serial(&value)?),
            "limit" => match value.parse() {
                Ok(limit) if (1..=certificates::MOST).contains(&limit) => parsed.limit = limit,
                _ => return Err(bad(format!("`limit` is a number from 1 to {}", certificates::MOST))),
            },
            _ if WHICH.contains(&field) && parsed.which.is_some() => {
                return Err(bad(format!("one of {} at a time", WHICH.join(", "))));
            }
            "account" => parsed.which = Some(Which::Ground(Ground::Actor(format!("acme:{value}")))),
            "address" => match value.parse() {
                Ok(address) => parsed.which = Some(Which::Ground(Ground::Address(address))),
                Err(_) => return Err(bad("`address` is an IP address, without a port".into())),
            },
            "method" => match value.parse() {
                Ok(method) => parsed.which = Some(Which::Ground(Ground::Method(method))),
                Err(error) => return Err(bad(format!("{error}"))),
            },
            "name" => parsed.which = Some(Which::Name(Name::parse(&value).map_err(|error| bad(error.to_string()))?)),
            "validator" => parsed.which = Some(Which::Ground(Ground::Validator(value))),
            other => {
                let other: String = other.chars().take(32).collect();
                return Err(bad(format!(
                    "`{other}` is no parameter of this path: it takes `cursor`, `limit`, and one of {}",
                    WHICH.join(", ")
                )));
            }
        }
    }
    Ok(parsed)
}

/// Parameters that say which certificates; one at a time.
const WHICH: [&str; 5] = ["account", "address", "method", "name", "validator"];

const DEFAULT_LIMIT: usize = 100;

impl From<&certificates::Certificate> for Listed {
    fn from(certificate: &certificates::Certificate) -> Self {
        Self {
            serial: certificate.serial,
            subject: certificate.subject.clone(),
            names: certificate.names.iter().map(Name::to_string).collect(),
            profile: certificate.profile.clone(),
            not_before: certificate.not_before.0,
            not_after: certificate.not_after.0,
            revoked: certificate.revoked.map(|(at, reason)| Revoked { at: at.0, reason }),
        }
    }
}
