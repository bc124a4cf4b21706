//! The seal as clients meet it: 503 before anything else is looked at.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::problem::Problem;
use crate::service::Services;

/// How a surface says that nothing can be signed.
pub type Render = fn(Problem) -> Response;

/// Puts the gate before every route of `router`: while the CA's key cannot be used, each answers
/// 503 with `Retry-After` in the shape that `render` gives it, before authentication, and before
/// its body is read.
pub fn gate(router: Router, services: Arc<Services>, render: Render) -> Router {
    router.layer(from_fn_with_state((services, render), pass))
}

async fn pass(State((services, render)): State<(Arc<Services>, Render)>, request: Request, next: Next) -> Response {
    match services.key_usable() {
        Ok(()) => next.run(request).await,
        Err(why) => render(Problem::unavailable(why.to_string())),
    }
}
