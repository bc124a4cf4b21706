//! `GET private/config`: where the CA is and keeps its records.

use axum::extract::State;
use serde::Serialize;

use super::super::Upki;
use super::super::answer::Data;
use crate::api::access::{Permitted, ReadConfig};

#[derive(Serialize)]
pub(in super::super) struct Config {
    ca_host: String,
    ca_port: u16,
    data_dir: String,
    registered: bool,
}

pub(in super::super) async fn show(_permitted: Permitted<ReadConfig>, State(upki): State<Upki>) -> Data<Config> {
    let url: Option<http::Uri> = upki.public_url.parse().ok();
    Data(Config {
        ca_host: url.as_ref().and_then(http::Uri::host).unwrap_or_default().to_owned(),
        ca_port: url.as_ref().and_then(http::Uri::port_u16).unwrap_or(443),
        data_dir: upki.upki.data_directory.display().to_string(),
        // There is no registration authority that could be apart from its CA.
        registered: true,
    })
}
