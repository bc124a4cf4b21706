//! `GET /api/v1/config`

use axum::extract::State;
use axum::response::IntoResponse;
use http::Uri;
use serde::Serialize;

use super::Notary;
use super::answer::Data;
use crate::api::access::{Permitted, ReadConfig};

/// What Notary's pages show of the configuration.
#[derive(Serialize)]
struct Config {
    port: u16,
    pebble_notifications: bool,
    logging_level: &'static str,
    logging_output: &'static str,
    encryption_backend_type: &'static str,
    acme_enabled: bool,
    acme_server_name: &'static str,
}

pub(super) async fn show(_: Permitted<ReadConfig>, State(notary): State<Notary>) -> impl IntoResponse {
    let port = notary.public_url.parse::<Uri>().ok().and_then(|url| url.port_u16());
    Data(Config {
        port: port.unwrap_or(443),
        pebble_notifications: false,
        logging_level: "info",
        logging_output: "stdout",
        encryption_backend_type: "pkcs11",
        acme_enabled: false,
        acme_server_name: "",
    })
}
