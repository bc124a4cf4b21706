//! `signetctl api`

use serde_json::Value;

use super::client::OnExpired;
use super::{CtlError, Session, table};

pub(super) fn run(session: &Session) -> Result<(), CtlError> {
    let document: Value = session.client.get("/admin/v1/openapi.json", OnExpired::Refuse)?;
    table::write(&format!("{document:#}\n"))
}
