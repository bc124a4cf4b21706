//! `GET /status`

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Notary;
use super::answer::Data;
use super::error::Error;

#[derive(Serialize)]
struct Status {
    /// Whether there is an account.
    initialized: bool,
    version: &'static str,
    oidc_enabled: bool,
}

pub(super) async fn show(State(notary): State<Notary>) -> Result<impl IntoResponse, Error> {
    let initialized = notary.notary_is_initialized()?;
    Ok(Data(Status { initialized, version: env!("CARGO_PKG_VERSION"), oidc_enabled: false }))
}
