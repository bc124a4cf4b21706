//! `/api/v1/accounts`: who may speak the dialect, and as what.

pub(super) mod create;
pub(super) mod list;
pub(super) mod password;
pub(super) mod remove;
pub(super) mod role;
pub(super) mod show;

use serde::Serialize;

use super::error::Error;
use crate::service::notary::accounts::{Account, Role};
use crate::service::notary::password::{NewPassword, Password};

/// An account, as the dialect writes it.
#[derive(Serialize)]
pub(super) struct View {
    id: u64,
    email: String,
    role_id: u8,
    has_password: bool,
    has_oidc: bool,
    auth_methods: &'static [&'static str],
}

impl From<Account> for View {
    fn from(account: Account) -> Self {
        let Account { id, email, role, has_password, created: _ } = account;
        Self {
            id,
            email: email.into(),
            role_id: role.number(),
            has_password,
            has_oidc: false,
            auth_methods: if has_password { &["local"] } else { &[] },
        }
    }
}

fn role(number: i64) -> Result<Role, Error> {
    Role::of_number(number).ok_or_else(|| Error::bad("invalid role ID: use 0 to 3"))
}

fn new_password(password: Password) -> Result<NewPassword, Error> {
    if password.is_empty() {
        return Err(Error::bad("password is required"));
    }
    password.try_into().map_err(|error: crate::service::notary::password::WeakPassword| Error::bad(error.to_string()))
}
