//! `POST client/revoke`: the client gives up the certificate that it shows.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;

use super::super::Upki;
use super::super::answer::Message;
use super::super::body::{Optional, Refusal};
use super::super::error::Error;
use super::super::name::REASONS;
use crate::api::access::{self, PermittedOwn};
use crate::service::Failure;
use crate::service::peer::Peer;
use crate::service::revocation::Deed;

pub(in super::super) async fn revoke(
    permitted: PermittedOwn<access::Revoke>,
    State(upki): State<Upki>,
    Extension(peer): Extension<Arc<Peer>>,
    Optional(mut fields): Optional,
) -> Result<Message, Refusal> {
    let reason = fields.text("reason").unwrap_or_else(|| "unspecified".to_owned());
    fields.end()?;
    let known = REASONS.iter().filter(|(code, _)| ALLOWED.contains(code));
    let Some((code, _)) = known.clone().find(|(_, name)| *name == reason) else {
        let names: Vec<&str> = known.map(|(_, name)| *name).collect();
        return Err(Error::validation(format!("`reason` is one of {}", names.join(", "))).into());
    };
    let serial = super::shown(&upki, &permitted, &peer)?.serial;
    // RFC 5280 section 5.3.1: unspecified is said by saying nothing.
    let deed = Deed::Revoke { reason: Some(*code).filter(|code| *code != 0), invalidity: None };
    match upki.act(&permitted, &[serial], deed).await.map_err(|error| Error::from(Failure::from(error)))? {
        0 => Err(Error::failed("Failed to revoke certificate: it is revoked already").into()),
        _ => Ok(Message("Certificate revoked successfully")),
    }
}

/// Reasons that a subscriber can give (RFC 5280 section 5.3.1).
const ALLOWED: [u8; 6] = [0, 1, 3, 4, 5, 9];
