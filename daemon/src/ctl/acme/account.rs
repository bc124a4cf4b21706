//! `signetctl acme account list | show | deactivate | bind`

use clap::Subcommand;
use http::Method;

use super::super::client::OnExpired;
use super::super::table::{fields, table, time};
use super::super::{CtlError, Session};
use super::id;
use crate::api::admin::acme::accounts::{Bind, Listed, Page, Shown};
use crate::service::acme::AccountStatus;
use crate::service::acme::administration::MOST;

#[derive(Subcommand)]
pub(in super::super) enum Verb {
    /// List accounts, ended ones included
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only those that are bound to this external account key
        #[arg(long, value_name = "KEY")]
        eab: Option<String>,
    },
    /// Show one account
    Show {
        /// Its id (the last part of its URL), or the thumbprint of its key
        #[arg(allow_hyphen_values = true)]
        account: String,
    },
    /// End an account, for ever: its orders are given up, its certificates stay as they are
    Deactivate {
        /// Its id (the last part of its URL), or the thumbprint of its key
        #[arg(allow_hyphen_values = true)]
        account: String,
    },
    /// Bind an account to an external account key: from now on it orders within what that key grants
    Bind {
        /// Its id (the last part of its URL), or the thumbprint of its key
        #[arg(allow_hyphen_values = true)]
        account: String,
        /// The id of the key
        #[arg(value_name = "KEY")]
        eab: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List { limit, eab } => list(session, *limit, eab.as_deref()),
        Verb::Show { account } => {
            let shown: Shown = session.client.get(&path(account)?, OnExpired::Refuse)?;
            session.show(&shown, text)
        }
        Verb::Deactivate { account } => {
            let path = format!("{}/deactivate", path(account)?);
            session.client.act(Method::POST, &path, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("ended {account}"))
        }
        Verb::Bind { account, eab } => {
            let path = format!("{}/bind", path(account)?);
            session.client.act(Method::POST, &path, Some(&Bind { eab: eab.clone() }), OnExpired::Refuse)?;
            session.say(&format!("bound {account} to {eab}"))
        }
    }
}

fn list(session: &Session, limit: usize, eab: Option<&str>) -> Result<(), CtlError> {
    let mut found: Vec<Listed> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/acme/accounts?limit={}", (limit - found.len()).min(MOST));
        if let Some(eab) = eab {
            path.push_str(&format!("&eab={}", id(eab, "the id of an external account key: see `acme eab list`")?));
        }
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

/// The path of an account.
fn path(account: &str) -> Result<String, CtlError> {
    let account = id(account, "the id of an account or the thumbprint of its key: see `acme account list`")?;
    Ok(format!("/admin/v1/acme/accounts/{account}"))
}
