//! `signetctl acme …`

mod account;

use clap::Subcommand;

use super::{CtlError, Session};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Accounts: list, show
    #[command(subcommand)]
    Account(account::Verb),
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Account(verb) => account::run(session, verb),
    }
}
