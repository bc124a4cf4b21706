//! The admin surface, `/admin/v1/…`: what `signetctl` speaks, JSON over mutual TLS.
//!
//! The types here are the contract; `signetctl` reads and writes the same ones.

pub mod acme;
pub mod activation;
pub mod administrators;
pub mod authorities;
pub mod ca;
pub mod certificates;
pub mod crl;
pub mod events;
pub mod explain;
pub mod issue;
pub mod limits;
pub mod metrics;
pub mod nodes;
pub mod ocsp;
pub mod profiles;
pub mod requests;
pub mod revoke;
pub mod seal;
pub mod status;
pub mod tokens;
pub mod unseal;

mod body;
mod csr;
mod encoding;
mod failure;
mod query;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::route::Routes;
use crate::service::Services;

/// Every route of the surface but those of [`acme::routes`]. Each handler demands a permission
/// before it reads a body.
pub fn routes(services: Arc<Services>) -> Routes<Arc<Services>> {
    Routes::new(services)
        .get("/admin/v1/administrators", administrators::list)
        .post_with_key("/admin/v1/administrators", administrators::enrol)
        .post_with_key("/admin/v1/administrators/renew", administrators::renew)
        .get("/admin/v1/administrators/{fingerprint}", administrators::show)
        .delete("/admin/v1/administrators/{fingerprint}", administrators::remove)
        .put("/admin/v1/administrators/{fingerprint}/role", administrators::set_role)
        .get("/admin/v1/authorities", authorities::list)
        .post_with_key("/admin/v1/authorities", authorities::create)
        .get("/admin/v1/authorities/{number}", authorities::show)
        .post_with_key("/admin/v1/authorities/{number}/certificate", authorities::upload)
        .post_with_key("/admin/v1/authorities/{number}/certificates", authorities::issue)
        .post_with_key("/admin/v1/authorities/{number}/disable", authorities::disable)
        .post_with_key("/admin/v1/authorities/{number}/enable", authorities::enable)
        .post_with_key("/admin/v1/authorities/{number}/retire", authorities::retire)
        .post_with_key("/admin/v1/authorities/{number}/revoke", authorities::revoke)
        .post_with_key("/admin/v1/authorities/{number}/sign", authorities::sign)
        .get("/admin/v1/ca", ca::show)
        .post_with_key("/admin/v1/ca/activate", activation::activate)
        .get("/admin/v1/ca/check", activation::check)
        .get("/admin/v1/certificates", certificates::list)
        .post_with_key("/admin/v1/certificates", issue::issue)
        .post("/admin/v1/certificates/act", revoke::act)
        .post("/admin/v1/certificates/find", revoke::find)
        .get("/admin/v1/certificates/export", certificates::export)
        .get("/admin/v1/certificates/{serial}", certificates::show)
        .post_with_key("/admin/v1/certificates/{serial}/renew", issue::renew)
        .post("/admin/v1/certificates/{serial}/revoke", revoke::revoke)
        .get("/admin/v1/crl", crl::show)
        .post_with_key("/admin/v1/crl/publish", crl::publish)
        .get("/admin/v1/events", events::list)
        .get("/admin/v1/limits", limits::list)
        .get("/admin/v1/limits/explain", limits::explain)
        .get("/admin/v1/limits/failing", limits::failing)
        .post("/admin/v1/limits/release", limits::release)
        .get("/admin/v1/nodes", nodes::list)
        .post("/admin/v1/nodes", nodes::register)
        .get("/admin/v1/nodes/{node}", nodes::show)
        .put("/admin/v1/nodes/{node}", nodes::change)
        .delete("/admin/v1/nodes/{node}", nodes::remove)
        .get("/admin/v1/nodes/{node}/seeds", nodes::seeds)
        .post("/admin/v1/nodes/{node}/seeds", nodes::make_seed)
        .get("/admin/v1/ocsp", ocsp::show)
        .post_with_key("/admin/v1/ocsp/presign", ocsp::presign)
        .get("/admin/v1/profiles", profiles::list)
        .post("/admin/v1/profiles/check", profiles::check)
        .post("/admin/v1/profiles/explain", explain::explain)
        .get("/admin/v1/profiles/{profile}", profiles::show)
        .get("/admin/v1/requests", requests::list)
        .post("/admin/v1/requests", requests::create)
        .get("/admin/v1/requests/{request}", requests::show)
        .post("/admin/v1/requests/{request}/approve", requests::approve)
        .post("/admin/v1/requests/{request}/reject", requests::reject)
        .post("/admin/v1/seal", seal::seal)
        .get("/admin/v1/status", status::show)
        .get("/admin/v1/tokens", tokens::list)
        .post("/admin/v1/tokens", tokens::create)
        .get("/admin/v1/tokens/{token}", tokens::show)
        .put("/admin/v1/tokens/{token}/state", tokens::set_state)
        .post("/admin/v1/unseal", unseal::unseal)
        .post("/admin/v1/unseal/challenge", unseal::challenge)
        .get("/metrics", metrics::show)
}
