//! `signetctl notary account list | create | remove | reset`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use policy::notary::{Email, Role};
use zeroize::Zeroizing;

use super::client::OnExpired;
use super::issue::read_text;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::notary::{Account, Accounts, Create, Reset};
use crate::api::secret::Secret;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Accounts of the Notary dialect: list, create, remove, reset
    #[command(subcommand)]
    Account(AccountVerb),
}

#[derive(Subcommand)]
pub(super) enum AccountVerb {
    /// Make an account; the first one is an administrator's
    ///
    /// While there is none, whoever reaches the listener can make the first one: make it here, before it listens.
    Create {
        /// Its e-mail address
        #[arg(value_parser = read_email)]
        email: Email,
        /// What it may do: administrator, manager, requestor or reader
        #[arg(long, default_value = "administrator")]
        role: Role,
        #[command(flatten)]
        password: PasswordFile,
    },
    /// List accounts
    List,
    /// Remove an account; its sessions end at once. The last administrator stays
    Remove {
        /// Its number
        account: u64,
    },
    /// Give an account another password; its sessions end at once
    Reset {
        /// Its number
        account: u64,
        #[command(flatten)]
        password: PasswordFile,
    },
}

#[derive(Args)]
pub(super) struct PasswordFile {
    /// File with the password, one line; `-` for standard input
    #[arg(long = "password-file", value_name = "FILE")]
    file: PathBuf,
}

impl PasswordFile {
    fn read(&self) -> Result<Secret, CtlError> {
        let text = Zeroizing::new(read_text(&self.file)?);
        Ok(Secret(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
    }
}

fn read_email(text: &str) -> Result<Email, policy::notary::EmailError> {
    Email::parse(text)
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    let Verb::Account(verb) = verb;
    match verb {
        AccountVerb::Create { email, role, password } => {
            let create = Create { email: email.clone(), password: password.read()?, role: *role };
            let made: Account = session.client.post(ACCOUNTS, &create, OnExpired::Refuse)?;
            session.show(&made, |made| {
                let created = time(made.created);
                let pairs = [
                    ("account", made.id.to_string()),
                    ("email", made.email.to_string()),
                    ("role", made.role.to_string()),
                    ("created", created),
                ];
                fields(&pairs)
            })
        }
        AccountVerb::List => {
            let listed: Accounts = session.client.get(ACCOUNTS, OnExpired::Refuse)?;
            let row = |account: &Account| {
                let password = if account.has_password { "yes" } else { "no" };
                let Account { id, email, role, .. } = account;
                [id.to_string(), role.to_string(), password.to_owned(), time(account.created), email.to_string()]
            };
            session.show(&listed.accounts, |accounts| {
                table(["ACCOUNT", "ROLE", "PASSWORD", "CREATED", "EMAIL"], accounts.iter().map(row))
            })
        }
        AccountVerb::Remove { account } => {
            let path = format!("{ACCOUNTS}/{account}");
            session.client.act(Method::DELETE, &path, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("removed {account}"))
        }
        AccountVerb::Reset { account, password } => {
            let path = format!("{ACCOUNTS}/{account}/password");
            let reset = Reset { password: password.read()? };
            session.client.act(Method::PUT, &path, Some(&reset), OnExpired::Refuse)?;
            session.say(&format!("password set {account}"))
        }
    }
}

const ACCOUNTS: &str = "/admin/v1/notary/accounts";
