//! The URLs of the surface, built from the configured base alone: never from a Host header.

use http::Uri;

pub(super) const NEW_NONCE: &str = "/acme/new-nonce";
pub(super) const NEW_ACCOUNT: &str = "/acme/new-account";
pub(super) const NEW_ORDER: &str = "/acme/new-order";
pub(super) const KEY_CHANGE: &str = "/acme/key-change";
pub(super) const REVOKE: &str = "/acme/revoke-cert";
pub(super) const DIRECTORY: &str = "/acme/directory";

pub(super) fn account(base: &str, id: &str) -> String {
    format!("{base}/acme/account/{id}")
}

pub(super) fn account_orders(base: &str, id: &str) -> String {
    format!("{base}/acme/account/{id}/orders")
}

pub(super) fn order(base: &str, id: &str) -> String {
    format!("{base}/acme/order/{id}")
}

pub(super) fn finalize(base: &str, id: &str) -> String {
    format!("{base}/acme/order/{id}/finalize")
}

pub(super) fn authorization(base: &str, id: &str) -> String {
    format!("{base}/acme/authorization/{id}")
}

pub(super) fn challenge(base: &str, id: &str) -> String {
    format!("{base}/acme/challenge/{id}")
}

pub(super) fn certificate(base: &str, serial: impl std::fmt::Display) -> String {
    format!("{base}/acme/certificate/{serial}")
}

/// The account that a `kid` names, by its id or by the thumbprint of its key.
pub(super) fn account_id<'a>(base: &str, kid: &'a str) -> Option<&'a str> {
    let id = kid.strip_prefix(base)?.strip_prefix("/acme/account/")?;
    (!id.is_empty() && id.len() <= 64 && !id.contains('/')).then_some(id)
}

/// The URL of a request as the client must have signed it.
pub(super) fn absolute(base: &str, uri: &Uri) -> String {
    format!("{base}{}", uri.path_and_query().map_or("/", |path| path.as_str()))
}
