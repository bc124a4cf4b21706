//! The admin surface, `/admin/v1/…`: what `signetctl` speaks, JSON over mutual TLS.
//!
//! The types here are the contract; `signetctl` reads and writes the same ones.

pub mod acme;
pub mod activation;
pub mod administrators;
pub mod authorities;
pub mod ca;
pub mod certificates;
pub mod config;
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

mod answer;
mod body;
mod csr;
mod encoding;
mod failure;
mod path;
mod query;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::route::Fault::{Conflict, Invalid, Missing};
use super::route::{Api, Described, FaultBody, Routes, Scheme};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::acme::Acme;

/// Every route of the surface, and their description.
pub fn surface(services: Arc<Services>, acme: Arc<Acme>) -> Routes<Arc<Services>> {
    let api = Api {
        title: "Signet administration",
        about: ABOUT,
        schemes: &[Scheme::Certificate, Scheme::Token],
        fault: Problem::CONTENT,
    };
    routes(services).merge(acme::routes(acme)).describe("/admin/v1/openapi.json", api)
}

/// Every route of the surface but those of [`acme::routes`]. Each handler demands a permission
/// before it reads a body.
fn routes(services: Arc<Services>) -> Routes<Arc<Services>> {
    Described::new(services)
        .get("/admin/v1/administrators", "Every administrator", &[], administrators::list)
        .post_with_key(
            "/admin/v1/administrators",
            "Enrols an administrator",
            &[Conflict, Invalid],
            administrators::enrol,
        )
        .post_with_key(
            "/admin/v1/administrators/renew",
            "A certificate for a new key of one's own",
            &[Conflict, Invalid],
            administrators::renew,
        )
        .get("/admin/v1/administrators/{fingerprint}", "One administrator", &[Missing], administrators::show)
        .delete(
            "/admin/v1/administrators/{fingerprint}",
            "Removes an administrator",
            &[Conflict, Missing],
            administrators::remove,
        )
        .put(
            "/admin/v1/administrators/{fingerprint}/role",
            "Gives an administrator another role",
            &[Conflict, Missing],
            administrators::set_role,
        )
        .get("/admin/v1/authorities", "Every issuing CA", &[], authorities::list)
        .post_with_key(
            "/admin/v1/authorities",
            "Makes an issuing CA, its key in the token",
            &[Conflict, Invalid, Missing],
            authorities::create,
        )
        .get("/admin/v1/authorities/{number}", "One issuing CA", &[Missing], authorities::show)
        .post_with_key(
            "/admin/v1/authorities/{number}/certificate",
            "Takes a certificate that another CA has signed",
            &[Conflict, Invalid, Missing],
            authorities::upload,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/certificates",
            "Issues a certificate by this issuing CA",
            &[Conflict, Invalid, Missing],
            authorities::issue,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/disable",
            "Lets it issue no more, until it is enabled",
            &[Conflict, Missing],
            authorities::disable,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/enable",
            "Lets it issue",
            &[Conflict, Missing],
            authorities::enable,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/retire",
            "Lets it issue no more, for ever",
            &[Conflict, Missing],
            authorities::retire,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/revoke",
            "Revokes its certificate",
            &[Conflict, Invalid, Missing],
            authorities::revoke,
        )
        .post_with_key(
            "/admin/v1/authorities/{number}/sign",
            "Has its certificate signed by another one",
            &[Conflict, Invalid, Missing],
            authorities::sign,
        )
        .get("/admin/v1/ca", "The CA's own certificates", &[], ca::show)
        .post_with_key("/admin/v1/ca/activate", "Lets the CA go active", &[Conflict], activation::activate)
        .get("/admin/v1/ca/check", "Whether relying parties find what certificates name", &[], activation::check)
        .get("/admin/v1/certificates", "Searches certificates", &[Invalid], certificates::list)
        .post_with_key(
            "/admin/v1/certificates",
            "Issues a certificate, or asks for approval",
            &[Conflict, Invalid, Missing],
            issue::issue,
        )
        .post(
            "/admin/v1/certificates/act",
            "Revokes, holds or releases certificates",
            &[Conflict, Invalid, Missing],
            revoke::act,
        )
        .post("/admin/v1/certificates/find", "Certificates to which a deed would be new", &[], revoke::find)
        .get(
            "/admin/v1/certificates/export",
            "Searches certificates, and shows them whole",
            &[Invalid],
            certificates::export,
        )
        .get("/admin/v1/certificates/{serial}", "One certificate", &[Missing], certificates::show)
        .post_with_key(
            "/admin/v1/certificates/{serial}/renew",
            "Renews a certificate",
            &[Conflict, Invalid, Missing],
            issue::renew,
        )
        .post(
            "/admin/v1/certificates/{serial}/revoke",
            "Revokes a certificate",
            &[Conflict, Invalid, Missing],
            revoke::revoke,
        )
        .get("/admin/v1/config", "The configuration in force", &[], config::show)
        .get("/admin/v1/crl", "How the CRLs are", &[], crl::show)
        .post_with_key("/admin/v1/crl/publish", "Publishes CRLs now", &[], crl::publish)
        .get("/admin/v1/events", "The journal, as it goes on", &[], events::list)
        .get("/admin/v1/limits", "Every limit as it is configured", &[], limits::list)
        .get("/admin/v1/limits/explain", "Where somebody stands with each limit", &[Invalid], limits::explain)
        .get("/admin/v1/limits/failing", "Validations that failed lately", &[], limits::failing)
        .post(
            "/admin/v1/limits/release",
            "Releases whoever a limit holds back",
            &[Conflict, Invalid, Missing],
            limits::release,
        )
        .get("/admin/v1/nodes", "Every node", &[Invalid], nodes::list)
        .post("/admin/v1/nodes", "Registers a node", &[Conflict, Invalid], nodes::register)
        .get("/admin/v1/nodes/{node}", "One node", &[Missing], nodes::show)
        .put("/admin/v1/nodes/{node}", "Changes a node", &[Conflict, Invalid, Missing], nodes::change)
        .delete(
            "/admin/v1/nodes/{node}",
            "Deletes a node, and revokes its certificates",
            &[Conflict, Missing],
            nodes::remove,
        )
        .get("/admin/v1/nodes/{node}/seeds", "The seeds of a node", &[Missing], nodes::seeds)
        .post(
            "/admin/v1/nodes/{node}/seeds",
            "Makes a seed for a node",
            &[Conflict, Invalid, Missing],
            nodes::make_seed,
        )
        .get("/admin/v1/ocsp", "How the OCSP responder is", &[], ocsp::show)
        .post_with_key(
            "/admin/v1/ocsp/presign",
            "Signs answers ahead, for an outage",
            &[Conflict, Invalid],
            ocsp::presign,
        )
        .get("/admin/v1/profiles", "Every profile", &[], profiles::list)
        .post("/admin/v1/profiles/check", "Reads a profile file, and keeps nothing of it", &[Invalid], profiles::check)
        .post(
            "/admin/v1/profiles/explain",
            "Whether a certificate would be issued, and which rule decides",
            &[Conflict, Invalid, Missing],
            explain::explain,
        )
        .get("/admin/v1/profiles/{profile}", "One profile", &[Missing], profiles::show)
        .get("/admin/v1/requests", "Requests for certificates", &[Invalid], requests::list)
        .post(
            "/admin/v1/requests",
            "Asks for a certificate that somebody must approve",
            &[Conflict, Invalid, Missing],
            requests::create,
        )
        .get("/admin/v1/requests/{request}", "One request", &[Missing], requests::show)
        .post(
            "/admin/v1/requests/{request}/approve",
            "Approves a request, which issues its certificate",
            &[Conflict, Invalid, Missing],
            requests::approve,
        )
        .post(
            "/admin/v1/requests/{request}/reject",
            "Rejects a request",
            &[Conflict, Invalid, Missing],
            requests::reject,
        )
        .post("/admin/v1/seal", "Seals the CA", &[Conflict], seal::seal)
        .get("/admin/v1/status", "How the daemon and its signers are", &[], status::show)
        .get("/admin/v1/tokens", "Every API token", &[Invalid], tokens::list)
        .post("/admin/v1/tokens", "Makes an API token", &[Conflict, Invalid], tokens::create)
        .get("/admin/v1/tokens/{token}", "One API token", &[Missing], tokens::show)
        .put(
            "/admin/v1/tokens/{token}/state",
            "Gives an API token another state",
            &[Conflict, Missing],
            tokens::set_state,
        )
        .post("/admin/v1/unseal", "Unseals the CA with an encrypted PIN", &[Conflict], unseal::unseal)
        .post(
            "/admin/v1/unseal/challenge",
            "A challenge, and the key to encrypt the PIN to",
            &[Conflict],
            unseal::challenge,
        )
        .get("/metrics", "Metrics, as Prometheus reads them", &[], metrics::show)
        .into()
}

/// What is true of every route.
const ABOUT: &str = "What `signetctl` speaks: JSON over mutual TLS. Bodies and parameters are read strictly: a field \
    that is not known, or written twice, is refused. Every error is a problem document (RFC 9457) whose `detail` says \
    what is wrong and what to do. A request that is refused has changed nothing. On any path the server may also \
    answer 404, 405, 408, 413 or 431 in that form. Times are seconds since 1970. Lists are paged: `next` of one page \
    is `cursor` of the following one.";
