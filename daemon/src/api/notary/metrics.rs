//! `GET /metrics`, for whoever reaches the listener, as Notary has it.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;

use super::Notary;
use super::error::Error;
use crate::service::metrics::MEDIA_TYPE;

pub(super) async fn show(State(notary): State<Notary>) -> Result<impl IntoResponse, Error> {
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], notary.render_notary_metrics().await?))
}
