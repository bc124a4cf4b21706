//! The URLs of the surface, built from the configured base alone: never from a Host header.

use http::Uri;
use policy::evidence::Method;

pub(super) const NEW_NONCE: &str = "/acme/new-nonce";
pub(super) const NEW_ACCOUNT: &str = "/acme/new-account";
pub(super) const NEW_AUTHORIZATION: &str = "/acme/new-authz";
pub(super) const NEW_ORDER: &str = "/acme/new-order";
pub(super) const KEY_CHANGE: &str = "/acme/key-change";
pub(super) const RENEWAL_INFO: &str = "/acme/renewal-info";
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

/// A challenge: its authorization and its type.
pub(super) fn challenge(base: &str, authorization: &str, method: Method) -> String {
    format!("{base}/acme/challenge/{authorization}/{}", method.as_str())
}

/// The certificate of an order. Its serial number, which relying parties see, leads nowhere.
pub(super) fn certificate(base: &str, order: &str) -> String {
    format!("{base}/acme/certificate/{order}")
}

/// The certificate of an order with one of its chains.
pub(super) fn chain(base: &str, order: &str, number: usize) -> String {
    match number {
        0 => certificate(base, order),
        number => format!("{base}/acme/certificate/{order}/{number}"),
    }
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
