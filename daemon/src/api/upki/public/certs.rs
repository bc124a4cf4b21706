//! `GET certs` and `GET certs/{node}`: certificates of the profiles, by serial number, and one by the
//! name of its node.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use policy::serial::Serial;
use serde::Serialize;

use super::super::answer::Data;
use super::super::error::Error;
use super::super::listed::{Listed, Next};
use super::super::parsed::View;
use super::super::query::Page;
use super::super::{Upki, name};
use super::{ca, crl};
use crate::api::access::{Permitted, ReadPublic};

#[derive(Serialize)]
pub(in super::super) struct Certificates {
    certificates: Vec<Listed>,
    #[serde(flatten)]
    next: Next,
}

pub(in super::super) async fn list(
    permitted: Permitted<ReadPublic>,
    State(upki): State<Upki>,
    page: Page,
) -> Result<Data<Certificates>, Error> {
    let after = page.cursor.map(|text| text.parse::<Serial>()).transpose();
    let after = after.map_err(|error| Error::validation(format!("`cursor` is `next` of the page before: {error}")))?;
    let page = upki.public_certificates(&permitted, after, page.limit)?;
    let certificates = page.certificates.iter().map(|one| Listed::certificate(&upki, one)).collect();
    Ok(Data(Certificates { certificates, next: page.next.into() }))
}

pub(in super::super) async fn show(
    permitted: Permitted<ReadPublic>,
    State(upki): State<Upki>,
    Path(node): Path<String>,
) -> Result<Response, Error> {
    match node.as_str() {
        "ca.crt" => return Ok(Data(ca::bundle(&upki)).into_response()),
        "crl.pem" => return crl::current(&upki).await,
        _ => {}
    }
    let found = upki.certificate_called(&permitted, name::common_name(&node))?;
    Ok(Data(View::new(&upki, &found.ok_or_else(Error::missing)?)?).into_response())
}
