//! `certificate/revoke` with a JSON body, as CertMaker's server has it, and `certificate/{serial}/revoke`,
//! as its documentation does.

use axum::body::Bytes;
use axum::extract::{Path, State};
use http::StatusCode;
use policy::serial::Serial;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body;
use super::error::Error;
use crate::api::access::{self, PermittedOwn};
use crate::service::certmaker::CertMaker;

/// In Go's spelling, whose JSON reader takes any.
#[derive(Deserialize)]
struct Revocation<'a> {
    /// A number of any size, or the same digits as a text.
    #[serde(borrow, rename = "SerialNumber", alias = "serialNumber", alias = "serial_number")]
    serial: &'a RawValue,
    #[serde(default, rename = "Reason", alias = "reason")]
    reason: Option<String>,
}

pub(super) async fn by_body(
    permitted: PermittedOwn<access::Revoke>,
    State(certmaker): State<CertMaker>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let Revocation { serial, reason } = body::read(&body)?;
    let digits = serial.get();
    let digits = digits.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(digits);
    revoke(&certmaker, &permitted, digits, &reason.unwrap_or_default()).await
}

pub(super) async fn by_path(
    permitted: PermittedOwn<access::Revoke>,
    State(certmaker): State<CertMaker>,
    Path(serial): Path<String>,
) -> Result<StatusCode, Error> {
    revoke(&certmaker, &permitted, &serial, "").await
}

async fn revoke(
    certmaker: &CertMaker,
    permitted: &PermittedOwn<access::Revoke>,
    digits: &str,
    reason: &str,
) -> Result<StatusCode, Error> {
    certmaker.revoke(permitted, serial(digits)?, reason).await?;
    Ok(StatusCode::OK)
}

/// A serial number in decimal digits.
pub(super) fn serial(digits: &str) -> Result<Serial, Error> {
    let read = Serial::from_decimal(digits.trim());
    read.map_err(|_| {
        Error::invalid("a serial number is written in decimal digits, greater than 0, of at most 20 octets")
    })
}
