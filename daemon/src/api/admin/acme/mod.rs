//! `/admin/v1/acme/…`: ACME as administrators see it.

pub mod accounts;
pub mod authorizations;
pub mod eab;
pub mod orders;

use std::sync::Arc;

use crate::api::route::Fault::{Conflict, Invalid, Missing};
use crate::api::route::{Described, Routes};
use crate::service::acme::Acme;

/// Every route below `/admin/v1/acme`. Each handler demands a permission before it reads a body.
pub(super) fn routes(acme: Arc<Acme>) -> Routes<Arc<Acme>> {
    Described::new(acme)
        .get("/admin/v1/acme/accounts", "ACME accounts", &[Invalid], accounts::list)
        .get("/admin/v1/acme/accounts/{account}", "One account", &[Missing], accounts::show)
        .post(
            "/admin/v1/acme/accounts/{account}/bind",
            "Binds an account to an external account key",
            &[Conflict, Missing],
            accounts::bind,
        )
        .post(
            "/admin/v1/acme/accounts/{account}/deactivate",
            "Ends an account",
            &[Conflict, Missing],
            accounts::deactivate,
        )
        .get("/admin/v1/acme/authorizations/{authorization}", "One authorization", &[Missing], authorizations::show)
        .post(
            "/admin/v1/acme/authorizations/{authorization}/deactivate",
            "Takes an authorization back",
            &[Conflict, Missing],
            authorizations::deactivate,
        )
        .get("/admin/v1/acme/eab", "External account keys", &[Invalid], eab::list)
        .post_with_key("/admin/v1/acme/eab", "Makes an external account key", &[Conflict, Invalid], eab::create)
        .get("/admin/v1/acme/eab/{key}", "One external account key", &[Missing], eab::show)
        .post("/admin/v1/acme/eab/{key}/revoke", "Revokes an external account key", &[Conflict, Missing], eab::revoke)
        .get("/admin/v1/acme/orders", "Orders", &[Invalid], orders::list)
        .get("/admin/v1/acme/orders/{order}", "One order", &[Missing], orders::show)
        .post("/admin/v1/acme/orders/{order}/cancel", "Cancels an order", &[Conflict, Missing], orders::cancel)
        .into()
}
