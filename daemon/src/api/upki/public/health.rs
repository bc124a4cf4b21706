//! `GET health`: that the daemon answers, sealed or not.

use serde::Serialize;

use super::super::answer::Data;

#[derive(Serialize)]
pub(in super::super) struct Health {
    status: &'static str,
}

pub(in super::super) async fn show() -> Data<Health> {
    Data(Health { status: "healthy" })
}
