//! Orders and authorizations as administrators see them.

use std::ops::Bound;
use std::sync::Arc;

use tokio::time::timeout;

use super::Acme;
use super::authorizations::Authorization;
use super::orders::{Order, OrderStatus};
use super::records::AuthorizationStatus;
use super::tables::AUTHORIZATIONS;
use crate::issuance::orders::{ORDERS, OrderFailure};
use crate::service::Failure;
use crate::service::administrators::Permitted;

/// Which orders are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Those of the account with this id.
    pub account: Option<String>,
    /// Those after the order with this id.
    pub after: Option<String>,
    /// At most so many; at most [`MOST_ORDERS`].
    pub limit: usize,
}

/// A page of orders, by id.
#[derive(Clone, Debug)]
pub struct OrderList {
    /// The orders.
    pub orders: Vec<Order>,
    /// Where the next page begins, after this id, if there is more.
    pub next: Option<String>,
}

/// Most orders on one page: each takes a read a name.
pub const MOST_ORDERS: usize = 100;

impl Acme {
    /// A page of orders, ended ones included.
    pub fn list_orders(&self, _permitted: &Permitted, query: &OrderQuery) -> Result<OrderList, Failure> {
        let limit = query.limit.clamp(1, MOST_ORDERS);
        let after = query.after.as_deref();
        // One more than asked for tells whether there is a next page.
        let mut ids = match &query.account {
            Some(account) => self.orders_of(account, after, limit + 1)?.0,
            None => {
                let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
                let rows = self.services.store.scan(&ORDERS, (from, Bound::Unbounded), limit + 1, false)?;
                rows.into_iter().map(|(id, _)| String::from_utf8_lossy(&id).into_owned()).collect()
            }
        };
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).cloned();
        let mut orders = Vec::with_capacity(ids.len());
        for id in ids {
            orders.extend(self.find_order(&id)?.map(|read| read.0));
        }
        Ok(OrderList { orders, next })
    }

    /// The order with this id.
    pub fn show_order(&self, _permitted: &Permitted, id: &str) -> Result<Order, Failure> {
        let read = self.find_order(id)?;
        Ok(read.ok_or_else(|| Failure::Missing(format!("no order is called `{id}`: see `acme order list`")))?.0)
    }

    /// Ends an order that is pending or ready: its client sees it as invalid, with these words.
    pub async fn cancel_order(self: &Arc<Self>, permitted: &Permitted, id: &str) -> Result<(), Failure> {
        self.show_order(permitted, id)?;
        let busy = |_| Failure::Conflict(format!("the order {id} is being finalized: it cannot be cancelled any more"));
        let _held = timeout(self.services.acme.orders.finalize_patience, self.lock_order(id)).await.map_err(busy)?;
        let over = match self.show_order(permitted, id)?.status {
            OrderStatus::Pending | OrderStatus::Ready => None,
            OrderStatus::Processing => Some("is being finalized"),
            OrderStatus::Valid => Some("is valid: revoke its certificate instead"),
            OrderStatus::Invalid(_) => Some("is invalid already"),
        };
        if let Some(why) = over {
            return Err(Failure::Conflict(format!("the order {id} {why}")));
        }
        let detail = "an administrator of this CA cancelled the order".to_owned();
        self.fail_order(id, OrderFailure { kind: "unauthorized".to_owned(), detail }).await?;
        tracing::info!(who = permitted.actor().who, order = id, "order cancelled");
        Ok(())
    }

    /// The authorization with this id.
    pub fn show_authorization(&self, _permitted: &Permitted, id: &str) -> Result<Authorization, Failure> {
        let row = self.services.store.get(&AUTHORIZATIONS, id)?.ok_or_else(|| no_authorization(id))?;
        Ok(self.view(id, row.value))
    }

    /// Takes an authorization back: it never serves an issuance again. The certificates that rest on
    /// it stay.
    pub async fn revoke_authorization(&self, permitted: &Permitted, id: &str) -> Result<(), Failure> {
        let row = self.services.store.get(&AUTHORIZATIONS, id)?.ok_or_else(|| no_authorization(id))?;
        if !matches!(row.value.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid)
            || self.now() > row.value.expires
        {
            return Err(Failure::Conflict(format!("the authorization {id} is over already")));
        }
        self.end_authorization(id, row, AuthorizationStatus::Revoked).await?;
        tracing::info!(who = permitted.actor().who, authorization = id, "authorization revoked");
        Ok(())
    }
}

fn no_authorization(id: &str) -> Failure {
    Failure::Missing(format!("no authorization is called `{id}`: see `acme order show`"))
}
