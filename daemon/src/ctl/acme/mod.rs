//! `signetctl acme …`

mod account;
mod authz;
mod eab;
mod order;

use clap::Subcommand;

use super::{CtlError, Session};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Accounts: list, show, deactivate, bind
    #[command(subcommand)]
    Account(account::Verb),
    /// Authorizations: show, deactivate
    #[command(subcommand)]
    Authz(authz::Verb),
    /// External account keys, which say who may have an account and for which names: create, list, show, revoke
    #[command(subcommand)]
    Eab(eab::Verb),
    /// Orders: list, show, cancel
    #[command(subcommand)]
    Order(order::Verb),
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Account(verb) => account::run(session, verb),
        Verb::Authz(verb) => authz::run(session, verb),
        Verb::Eab(verb) => eab::run(session, verb),
        Verb::Order(verb) => order::run(session, verb),
    }
}

/// What stands in a path: an id or a thumbprint. Checked here, because what is none may be no URL
/// either.
fn id<'a>(text: &'a str, what: &str) -> Result<&'a str, CtlError> {
    let good = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    match !text.is_empty() && text.bytes().all(good) {
        true => Ok(text),
        false => Err(CtlError::Failed(format!("`{text}` is not {what}"))),
    }
}
