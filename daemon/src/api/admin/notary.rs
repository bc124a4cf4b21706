//! `/admin/v1/notary/accounts`: accounts of the Notary dialect: list, create, remove, another password.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::failure;
use crate::api::access::{self, Permitted};
use crate::api::secret::Secret;
use crate::problem::Problem;
use crate::service::Services;
use crate::service::notary::accounts::{self, Email, Role};
use crate::service::notary::password::{NewPassword, Password};

/// An account, without its password. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number, as it stands in the journal: `notary:1`.
    pub id: u64,
    /// Its address.
    pub email: Email,
    /// What it may do.
    pub role: Role,
    /// Whether somebody can sign in to it.
    pub has_password: bool,
    /// When it was made.
    pub created: u64,
}

/// Every account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// By number.
    pub accounts: Vec<Account>,
}

/// An account to be made.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its address.
    pub email: Email,
    /// Its password.
    pub password: Secret,
    /// What it may do; the first one is an administrator's.
    pub role: Role,
}

/// Another password.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Which.
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
) -> Result<(StatusCode, Json<Account>), Problem> {
    let password = new(password)?;
    let made = services.open_notary_account(&permitted, email, password, role).await.map_err(failure::problem)?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn remove(
    permitted: Permitted<access::ManageNotary>,
    State(services): State<Arc<Services>>,
    Path(account): Path<String>,
) -> Result<StatusCode, Problem> {
    services.remove_notary_account(&permitted, number(&account)?).await.map_err(failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reset(
    permitted: Permitted<access::ManageNotary>,
    State(services): State<Arc<Services>>,
    Path(account): Path<String>,
    Body(Reset { password }): Body<Reset>,
) -> Result<StatusCode, Problem> {
    let (account, password) = (number(&account)?, new(password)?);
    services.set_notary_password(&permitted, account, password).await.map_err(failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
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
