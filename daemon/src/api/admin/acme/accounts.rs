//! `/admin/v1/acme/accounts`: list, show, deactivate, bind.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::body::Body;
use super::super::failure;
use super::super::path::Path;
use super::super::query::Query;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::acme::accounts::Account;
use crate::service::acme::administration::{AccountQuery, MOST};
use crate::service::acme::{AccountStatus, Acme};

/// An ACME account. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ListedAccount")]
pub struct Listed {
    /// Its id, the last part of its URL.
    pub id: String,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// When it was made.
    pub created: u64,
    /// URLs to reach its owner.
    pub contact: Vec<String>,
    /// The external account key that it is bound to, if it is.
    pub eab: Option<String>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Accounts")]
pub struct Page {
    /// The accounts, by id.
    pub accounts: Vec<Listed>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<String>,
}

/// One account, whole.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Account")]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub listed: Listed,
    /// RFC 7638 thumbprint of its key.
    pub thumbprint: String,
    /// The terms of service that its owner agreed to, if he did: their URL, if they had one.
    pub terms: Option<Agreement>,
    /// When and by whom it was ended, if it was.
    pub ended: Option<Ended>,
}

/// That somebody agreed to the terms of service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Agreement {
    /// Their URL, if any were published.
    pub url: Option<String>,
    /// When.
    pub at: u64,
}

/// That an account was ended.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: u64,
    /// By whom, in the words of the journal.
    pub by: String,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    #[serde(default = "most")]
    limit: usize,
    cursor: Option<String>,
    eab: Option<String>,
}

/// Which external account key an account is bound to.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Id of the key.
    pub eab: String,
}

fn most() -> usize {
    MOST
}

pub(super) async fn list(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Query(ask): Query<Ask>,
) -> Result<Json<Page>, Problem> {
    let query = AccountQuery { after: ask.cursor, eab: ask.eab, limit: ask.limit };
    let page = acme.list_accounts(&permitted, &query).map_err(failure::problem)?;
    Ok(Json(Page { accounts: page.accounts.iter().map(Listed::from).collect(), next: page.next }))
}

pub(super) async fn show(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Path(account): Path,
) -> Result<Json<Shown>, Problem> {
    let account = acme.show_account(&permitted, &account).map_err(failure::problem)?;
    Ok(Json(Shown::from(&account)))
}

pub(super) async fn deactivate(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Path(account): Path,
) -> Result<NoContent, Problem> {
    acme.end_account(&permitted, &account).await.map_err(failure::problem)?;
    Ok(NoContent)
}

pub(super) async fn bind(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Path(account): Path,
    Body(bind): Body<Bind>,
) -> Result<NoContent, Problem> {
    acme.bind_account(&permitted, &account, &bind.eab).await.map_err(failure::problem)?;
    Ok(NoContent)
}

impl From<&Account> for Listed {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            status: account.record.status,
            created: account.record.created.0,
            contact: account.record.contact.clone(),
            eab: account.record.binding.as_ref().map(|binding| binding.key.clone()),
        }
    }
}

impl From<&Account> for Shown {
    fn from(account: &Account) -> Self {
        let record = &account.record;
        Self {
            listed: account.into(),
            thumbprint: record.key.thumbprint(),
            terms: record.terms.as_ref().map(|terms| Agreement { url: terms.url.clone(), at: terms.at.0 }),
            ended: record.ended.as_ref().map(|ended| Ended { at: ended.at.0, by: ended.by.clone() }),
        }
    }
}
