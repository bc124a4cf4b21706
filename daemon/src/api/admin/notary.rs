//! `/admin/v1/notary/accounts`: accounts of the Notary dialect: list, create, remove, another password.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::failure;
use super::path::Path;
use crate::api::access::{self, Permitted};
use crate::api::secret::Secret;
use crate::problem::Problem;
use crate::service::Services;
use crate::service::notary::accounts::{self, Email, Role};
use crate::service::notary::password::{NewPassword, Password};
use crate::shape;

/// An account, without its password. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NotaryAccount")]
pub struct Account {
    /// Its number, as it stands in the journal: `notary:1`.
    pub id: u64,
    /// Its address.
    #[schemars(with = "String")]
    pub email: Email,
    /// What it may do.
    #[schemars(with = "shape::NotaryRole")]
    pub role: Role,
    /// Whether somebody can sign in to it.
    pub has_password: bool,
    /// When it was made.
    pub created: u64,
}

/// Every account.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NotaryAccounts")]
pub struct Accounts {
    /// By number.
    pub accounts: Vec<Account>,
}

/// An account to be made.
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NewNotaryAccount")]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its address.
    #[schemars(with = "shape::Email")]
    pub email: Email,
    /// Its password.
    #[schemars(with = "String")]
    pub password: Secret,
    /// What it may do; the first one is an administrator's.
    #[schemars(with = "shape::NotaryRole")]
    pub role: Role,
}

/// Another password.
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NewNotaryPassword")]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Which.
    #[schemars(with = "String")]
    pub password: Secret,
}

pub(super) async fn list(
    permitted: Permitted<access::ReadNotary>,
    State(services): State<Arc<Services>>,
) -> Result<Json<Accounts>, Problem> {
    let accounts = services.notary_accounts(&permitted).map_err(failure::problem)?;
    Ok(Json(Accounts { accounts: accounts.into_iter().map(Account::from).collect() }))
}

pub(super) async fn create(
    permitted: Permitted<access::ManageNotary>,
    State(services): State<Arc<Services>>,
    Body(Create { email, password, role }): Body<Create>,
) -> Result<New<Account>, Problem> {
    let password = new(password)?;
    let made = services.open_notary_account(&permitted, email, password, role).await.map_err(failure::problem)?;
    Ok(New(made.into()))
}

pub(super) async fn remove(
    permitted: Permitted<access::ManageNotary>,
    State(services): State<Arc<Services>>,
    Path(account): Path,
) -> Result<NoContent, Problem> {
    services.remove_notary_account(&permitted, number(&account)?).await.map_err(failure::problem)?;
    Ok(NoContent)
}

pub(super) async fn reset(
    permitted: Permitted<access::ManageNotary>,
    State(services): State<Arc<Services>>,
    Path(account): Path,
    Body(Reset { password }): Body<Reset>,
) -> Result<NoContent, Problem> {
    let (account, password) = (number(&account)?, new(password)?);
    services.set_notary_password(&permitted, account, password).await.map_err(failure::problem)?;
    Ok(NoContent)
}

fn new(password: Secret) -> Result<NewPassword, Problem> {
    let password = NewPassword::try_from(Password::new(password.0));
    password.map_err(|error| Problem::plain(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::plain(StatusCode::NOT_FOUND, "an account is named by its number"))
}

impl From<accounts::Account> for Account {
    fn from(account: accounts::Account) -> Self {
        let accounts::Account { id, email, role, has_password, created } = account;
        Self { id, email, role, has_password, created: created.0 }
    }
}
