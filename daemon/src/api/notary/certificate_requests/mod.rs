//! `/api/v1/certificate_requests`: CSRs, and what becomes of them.

pub(super) mod certificate;
pub(super) mod create;
pub(super) mod list;
pub(super) mod reject;
pub(super) mod remove;
pub(super) mod revoke;
pub(super) mod show;
pub(super) mod sign;

use serde::Serialize;

use crate::service::notary::requests::{Request, Status};

/// A request, as the dialect writes it.
#[derive(Serialize)]
pub(super) struct View {
    id: u64,
    csr: String,
    certificate_chain: String,
    status: Status,
    email: String,
}

impl From<Request> for View {
    fn from(request: Request) -> Self {
        let Request { id, csr, chain, status, email } = request;
        Self { id, csr, certificate_chain: chain, status, email: email.unwrap_or_else(|| "unknown".to_owned()) }
    }
}
