//! Every payload of a request, read as its handler reads it before it asks anybody: for those who
//! throw bytes at parsers.

use super::account::{NewAccountBody, UpdateBody};
use super::authorization::{self, NewAuthorizationBody};
use super::challenge::RespondBody;
use super::jws;
use super::key_change::KeyChange;
use super::order::{FinalizeBody, IdentifierBody, NewOrderBody};
use super::request::Payload;
use super::revoke::RevokeBody;
use super::time::moment;
use crate::service::acme::identifiers::Identifier;

/// The requests whose handlers can read `payload`, by their names in the directory or in words. Any
/// bytes give a list.
pub fn readers(payload: &[u8]) -> Vec<&'static str> {
    let payload = Payload::new(payload.to_vec());
    let is_name = |body: IdentifierBody| Identifier::from(body).name().is_ok();
    let new_order = |body: NewOrderBody| {
        moment("notBefore", body.not_before.as_deref()).is_ok()
            && moment("notAfter", body.not_after.as_deref()).is_ok()
            && body.identifiers.into_iter().all(is_name)
    };
    let forms = [
        ("authorization", payload.json::<authorization::UpdateBody>().is_ok()),
        ("account", payload.json::<UpdateBody>().is_ok()),
        ("challenge", payload.json::<RespondBody>().is_ok()),
        ("finalize", payload.json::<FinalizeBody>().is_ok_and(|body| jws::decode("csr", &body.csr).is_ok())),
        ("keyChange", payload.json::<KeyChange>().is_ok()),
        ("newAccount", payload.json::<NewAccountBody>().is_ok()),
        ("newAuthz", payload.json::<NewAuthorizationBody>().is_ok_and(|body| is_name(body.identifier))),
        ("newOrder", payload.json::<NewOrderBody>().is_ok_and(new_order)),
        (
            "revokeCert",
            payload.json::<RevokeBody>().is_ok_and(|body| jws::decode("certificate", &body.certificate).is_ok()),
        ),
    ];
    forms.into_iter().filter_map(|(name, readable)| readable.then_some(name)).collect()
}
