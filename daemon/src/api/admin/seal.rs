//! `POST /admin/v1/seal`: the signer forgets the PIN.

use std::sync::Arc;

use axum::extract::State;
use axum::response::NoContent;

use super::failure;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;

pub(super) async fn seal(
    permitted: Permitted<access::Seal>,
    State(services): State<Arc<Services>>,
) -> Result<NoContent, Problem> {
    services.seal(&permitted).await.map_err(failure::problem)?;
    Ok(NoContent)
}
