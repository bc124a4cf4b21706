//! Accounts (RFC 8555 section 7.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{LINK, LOCATION};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::{ByAccount, ByKey, ByOwner};
use super::{jws, urls};
use crate::service::acme::accounts::{Account, AccountUpdate, Agreed, Deactivate, NewAccount, OnMissing, Opened};
use crate::service::acme::error::AcmeError;
use crate::service::acme::{AccountStatus, Acme};

/// `orders`, `status` and what else is sent is ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewAccountBody {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    pub(super) external_account_binding: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateBody {
    contact: Option<Vec<String>>,
    status: Option<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountView<'a> {
    status: AccountStatus,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contact: &'a [String],
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<&'a Value>,
    orders: String,
}

pub(super) async fn create(State(acme): State<Arc<Acme>>, by: ByKey) -> Result<Response, AcmeError> {
    let body: NewAccountBody = by.payload.json()?;
    let url = format!("{}{}", acme.services().public_url, urls::NEW_ACCOUNT);
    let binding = body.external_account_binding.map(|jws| jws::parse_binding(&jws, &by.key, &url)).transpose()?;
    let wish = NewAccount {
        contact: body.contact,
        from: by.from,
        terms_agreed: body.terms_of_service_agreed,
        missing: if body.only_return_existing { OnMissing::Refuse } else { OnMissing::Create },
        binding,
    };
    let (status, account) = match acme.open_account(by.key, wish).await? {
        Opened::Created(account) => (StatusCode::CREATED, account),
        Opened::Found(account) => (StatusCode::OK, account),
    };
    let location = urls::account(&acme.services().public_url, &account.id);
    Ok((status, [(LOCATION, location)], view(&acme, &account)).into_response())
}

/// Changes the account, or only shows it.
pub(super) async fn update(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    ByOwner(by): ByOwner,
) -> Result<Response, AcmeError> {
    own(&by.account, &id)?;
    let account = if by.payload.is_empty() {
        by.account
    } else {
        let body: UpdateBody = by.payload.json()?;
        let deactivate = if body.status.as_deref() == Some("deactivated") { Deactivate::Yes } else { Deactivate::No };
        let terms_agreed = body.terms_of_service_agreed;
        acme.update_account(by.account, AccountUpdate { contact: body.contact, terms_agreed, deactivate }).await?
    };
    Ok(view(&acme, &account))
}

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<String>,
}

/// The orders that are not invalid, a page at a time (RFC 8555 section 7.1.2.1).
pub(super) async fn orders(
    State(acme): State<Arc<Acme>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    by: ByAccount,
) -> Result<Response, AcmeError> {
    own(&by.account, &id)?;
    by.payload.empty()?;
    let base = &acme.services().public_url;
    let list = acme.orders(&by.account, page.after.as_deref())?;
    let urls: Vec<String> = list.orders.iter().map(|id| urls::order(base, id)).collect();
    let mut response = Json(serde_json::json!({"orders": urls})).into_response();
    if let Some(last) = list.next
        && let Ok(link) =
            format!("<{}?after={last}>;rel=\"next\"", urls::account_orders(base, &by.account.id)).try_into()
    {
        response.headers_mut().append(LINK, link);
    }
    Ok(response)
}

fn own(account: &Account, id: &str) -> Result<(), AcmeError> {
    if account.is_called(id) {
        Ok(())
    } else {
        Err(AcmeError::Unauthorized("the request is signed by another account".into()))
    }
}

pub(super) fn view(acme: &Acme, account: &Account) -> Response {
    Json(AccountView {
        status: account.record.status,
        contact: &account.record.contact,
        terms_of_service_agreed: acme.has_agreed(&account.record) == Agreed::Yes,
        external_account_binding: account.record.binding.as_ref().and_then(|binding| binding.jws.as_ref()),
        orders: urls::account_orders(&acme.services().public_url, &account.id),
    })
    .into_response()
}
