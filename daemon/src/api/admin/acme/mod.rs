//! `/admin/v1/acme/…`: ACME as administrators see it.

pub mod accounts;
pub mod authorizations;
pub mod eab;
pub mod orders;

use std::sync::Arc;

use crate::api::route::Routes;
use crate::service::acme::Acme;

/// Every route below `/admin/v1/acme`. Each handler demands a permission before it reads a body.
pub fn routes(acme: Arc<Acme>) -> Routes<Arc<Acme>> {
    Routes::new(acme)
        .get("/admin/v1/acme/accounts", accounts::list)
        .get("/admin/v1/acme/accounts/{account}", accounts::show)
        .post("/admin/v1/acme/accounts/{account}/bind", accounts::bind)
        .post("/admin/v1/acme/accounts/{account}/deactivate", accounts::deactivate)
        .get("/admin/v1/acme/authorizations/{authorization}", authorizations::show)
        .post("/admin/v1/acme/authorizations/{authorization}/deactivate", authorizations::deactivate)
        .get("/admin/v1/acme/eab", eab::list)
        .post_with_key("/admin/v1/acme/eab", eab::create)
        .get("/admin/v1/acme/eab/{key}", eab::show)
        .post("/admin/v1/acme/eab/{key}/revoke", eab::revoke)
        .get("/admin/v1/acme/orders", orders::list)
        .get("/admin/v1/acme/orders/{order}", orders::show)
        .post("/admin/v1/acme/orders/{order}/cancel", orders::cancel)
}
