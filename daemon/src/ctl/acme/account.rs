//! `signetctl acme account list | show`

use clap::Subcommand;

use super::super::client::OnExpired;
use super::super::table::{fields, table, time};
use super::super::{CtlError, Session};
use crate::api::admin::acme::accounts::{Listed, Page, Shown};
use crate::service::acme::AccountStatus;
use crate::service::acme::administration::MOST;

#[derive(Subcommand)]
pub(in super::super) enum Verb {
    /// List accounts, ended ones included
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one account
    Show {
        /// Its id (the last part of its URL), or the thumbprint of its key
        account: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List { limit } => list(session, *limit),
        Verb::Show { account } => {
            let shown: Shown = session.client.get(&path(account)?, OnExpired::Refuse)?;
            session.show(&shown, text)
        }
    }
}

fn list(session: &Session, limit: usize) -> Result<(), CtlError> {
    let mut found: Vec<Listed> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/acme/accounts?limit={}", (limit - found.len()).min(MOST));
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.accounts);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    session.show(&found, |found| table(["ACCOUNT", "STATUS", "CREATED", "EAB KEY", "CONTACT"], found.iter().map(row)))
}

fn row(listed: &Listed) -> [String; 5] {
    [
        listed.id.clone(),
        status(listed.status).to_owned(),
        time(listed.created),
        listed.eab.clone().unwrap_or_default(),
        listed.contact.join(", "),
    ]
}

fn text(shown: &Shown) -> String {
    let listed = &shown.listed;
    let mut pairs = vec![
        ("account", listed.id.clone()),
        ("status", status(listed.status).to_owned()),
        ("created", time(listed.created)),
        ("thumbprint", shown.thumbprint.clone()),
        ("contact", listed.contact.join(", ")),
        ("external account key", listed.eab.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    if let Some(terms) = &shown.terms {
        let which = terms.url.as_deref().unwrap_or("there were none");
        pairs.push(("agreed to terms", format!("{which}, at {}", time(terms.at))));
    }
    if let Some(ended) = &shown.ended {
        pairs.push(("ended", format!("at {} by {}", time(ended.at), ended.by)));
    }
    fields(&pairs)
}

fn status(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Revoked => "revoked",
        AccountStatus::Valid => "valid",
    }
}

/// The path of an account. Checked here, because what is no id may be no URL either.
fn path(account: &str) -> Result<String, CtlError> {
    let good = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    match !account.is_empty() && account.bytes().all(good) {
        true => Ok(format!("/admin/v1/acme/accounts/{account}")),
        false => {
            Err(CtlError::Failed("an account is its id or the thumbprint of its key: see `acme account list`".into()))
        }
    }
}
