//! `POST ocsp`: the status of a serial number, in JSON. RFC 6960 has a path of its own.

use axum::extract::State;
use policy::serial::Serial;
use serde::Serialize;

use super::super::answer::{Data, Number};
use super::super::body::{Fields, Refusal};
use super::super::error::Error;
use super::super::{Upki, name};
use crate::api::access::{Permitted, ReadPublic};
use crate::service::named::{Standing, Status};

#[derive(Serialize)]
pub(in super::super) struct View {
    status: &'static str,
    serial: Number,
    cn: Option<String>,
    revoke_reason: Option<&'static str>,
    revoke_date: Option<String>,
}

pub(in super::super) async fn check(
    permitted: Permitted<ReadPublic>,
    State(upki): State<Upki>,
    mut fields: Fields,
) -> Result<Data<View>, Refusal> {
    let text = fields.required_of("serial", 1..=128);
    fields.end()?;
    let (decimal, hexadecimal) = (Serial::from_decimal(&text), text.trim_start_matches("0x").parse::<Serial>());
    let possible: Vec<Serial> = [decimal, hexadecimal].into_iter().flatten().collect();
    if possible.is_empty() {
        return Err(Error::validation("`serial` is a serial number: decimal digits, or hexadecimal ones").into());
    }
    for serial in possible {
        if let Some(status) = upki.status_of(&permitted, serial)? {
            return Ok(Data(status.into()));
        }
    }
    Err(Error::missing().into())
}

impl From<Status> for View {
    fn from(status: Status) -> Self {
        let (word, revoked) = match status.standing {
            Standing::Expired => ("expired", None),
            Standing::Good => ("good", None),
            Standing::Revoked(at, code) => ("revoked", Some((at, code))),
        };
        Self {
            status: word,
            serial: Number(status.serial),
            cn: status.common_name.map(|text| name::common_name(&text).to_owned()),
            revoke_reason: revoked.map(|(_, code)| name::reason(code)),
            revoke_date: revoked.map(|(at, _)| name::time(at)),
        }
    }
}
