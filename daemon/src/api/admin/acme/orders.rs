//! `/admin/v1/acme/orders`: list, show, cancel.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use policy::serial::Serial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::failure;
use super::super::path::Path;
use super::super::query::Query;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::acme::Acme;
use crate::service::acme::finalize::why_invalid;
use crate::service::acme::orders::{Order, OrderStatus};
use crate::service::acme::oversight::{MOST_ORDERS, OrderQuery};
use crate::shape;

/// An ACME order. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ListedOrder")]
pub struct Listed {
    /// Its id, the last part of its URL.
    pub id: String,
    /// Id of the account that ordered.
    pub account: String,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: String,
    /// Why it is invalid, if it is.
    pub why: Option<String>,
    /// The profile's name.
    pub profile: String,
    /// The names.
    pub names: Vec<String>,
    /// When it was made.
    pub created: u64,
    /// Last second in which it can be finalized.
    pub expires: u64,
    /// The certificate that completed it.
    #[schemars(with = "Option<shape::Serial>")]
    pub certificate: Option<Serial>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Orders")]
pub struct Page {
    /// The orders, by id.
    pub orders: Vec<Listed>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<String>,
}

/// One order, whole.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Order")]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub listed: Listed,
    /// Ids of its authorizations, one a name.
    pub authorizations: Vec<String>,
    /// First second of the validity that was asked for, if it was.
    pub not_before: Option<u64>,
    /// Last second of the validity that was asked for, if it was.
    pub not_after: Option<u64>,
    /// The certificate that it replaces: its identifier of RFC 9773.
    pub replaces: Option<String>,
    /// Since when it is processing, if it is.
    pub processing: Option<u64>,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Ask {
    account: Option<String>,
    cursor: Option<String>,
    #[serde(default = "most")]
    limit: usize,
}

fn most() -> usize {
    MOST_ORDERS
}

pub(in super::super) async fn list(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Query(ask): Query<Ask>,
) -> Result<Json<Page>, Problem> {
    let query = OrderQuery { account: ask.account, after: ask.cursor, limit: ask.limit };
    let list = acme.list_orders(&permitted, &query).map_err(failure::problem)?;
    Ok(Json(Page { orders: list.orders.iter().map(Listed::from).collect(), next: list.next }))
}

pub(in super::super) async fn show(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Path(order): Path,
) -> Result<Json<Shown>, Problem> {
    let order = acme.show_order(&permitted, &order).map_err(failure::problem)?;
    Ok(Json(Shown::from(&order)))
}

pub(in super::super) async fn cancel(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Path(order): Path,
) -> Result<NoContent, Problem> {
    acme.cancel_order(&permitted, &order).await.map_err(failure::problem)?;
    Ok(NoContent)
}

impl From<&Order> for Listed {
    fn from(order: &Order) -> Self {
        let (status, why) = match &order.status {
            OrderStatus::Pending => ("pending", None),
            OrderStatus::Ready => ("ready", None),
            OrderStatus::Processing => ("processing", None),
            OrderStatus::Valid => ("valid", None),
            OrderStatus::Invalid(why) => ("invalid", Some(why_invalid(why))),
        };
        let record = &order.record;
        Self {
            id: order.id.clone(),
            account: record.account.clone(),
            status: status.to_owned(),
            why,
            profile: record.profile.clone(),
            names: record.names.iter().map(ToString::to_string).collect(),
            created: record.created.0,
            expires: record.expires.0,
            certificate: record.certificate,
        }
    }
}

impl From<&Order> for Shown {
    fn from(order: &Order) -> Self {
        let record = &order.record;
        Self {
            listed: order.into(),
            authorizations: record.authorizations.clone(),
            not_before: record.requested.not_before.map(|time| time.0),
            not_after: record.requested.not_after.map(|time| time.0),
            replaces: record.replaces.clone(),
            processing: record.processing.map(|time| time.0),
        }
    }
}
