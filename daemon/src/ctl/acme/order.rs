//! `signetctl acme order list | show | cancel`

use clap::Subcommand;
use http::Method;

use super::super::client::OnExpired;
use super::super::table::{fields, table, time};
use super::super::{CtlError, Session};
use super::id;
use crate::api::admin::acme::orders::{Listed, Page, Shown};
use crate::service::acme::oversight::MOST_ORDERS;

#[derive(Subcommand)]
pub(in super::super) enum Verb {
    /// List orders, ended ones included, by id
    List {
        /// Only those of this account (its id)
        #[arg(long)]
        account: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one order
    Show {
        /// Its id: the last part of its URL
        order: String,
    },
    /// End an order that is pending or ready; its client sees it as invalid
    Cancel {
        /// Its id: the last part of its URL
        order: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List { account, limit } => list(session, account.as_deref(), *limit),
        Verb::Show { order } => {
            let shown: Shown = session.client.get(&path(order)?, OnExpired::Refuse)?;
            session.show(&shown, text)
        }
        Verb::Cancel { order } => {
            let path = format!("{}/cancel", path(order)?);
            session.client.act(Method::POST, &path, None::<&()>, OnExpired::Refuse)?;
            session.say(&format!("cancelled {order}"))
        }
    }
}

fn list(session: &Session, account: Option<&str>, limit: usize) -> Result<(), CtlError> {
    let mut found: Vec<Listed> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/acme/orders?limit={}", (limit - found.len()).min(MOST_ORDERS));
        if let Some(account) = account {
            path.push_str(&format!("&account={}", id(account, "the id of an account: see `acme account list`")?));
        }
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.orders);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    session.show(&found, |found| table(["ORDER", "STATUS", "CREATED", "PROFILE", "NAMES"], found.iter().map(row)))
}

fn row(listed: &Listed) -> [String; 5] {
    let (status, profile) = (listed.status.clone(), listed.profile.clone());
    [listed.id.clone(), status, time(listed.created), profile, listed.names.join(", ")]
}

fn text(shown: &Shown) -> String {
    let listed = &shown.listed;
    let mut pairs =
        vec![("order", listed.id.clone()), ("account", listed.account.clone()), ("status", listed.status.clone())];
    pairs.extend(listed.why.iter().map(|why| ("because", why.clone())));
    pairs.extend(shown.processing.map(|since| ("processing since", time(since))));
    pairs.extend([
        ("profile", listed.profile.clone()),
        ("created", time(listed.created)),
        ("expires", time(listed.expires)),
    ]);
    pairs.extend(shown.not_before.map(|at| ("not before", time(at))));
    pairs.extend(shown.not_after.map(|at| ("not after", time(at))));
    pairs.extend(shown.replaces.iter().map(|replaced| ("replaces", replaced.clone())));
    let names = listed.names.iter().zip(&shown.authorizations);
    pairs.extend(names.map(|(name, authorization)| ("name", format!("{name}, authorization {authorization}"))));
    pairs.extend(listed.certificate.map(|serial| ("certificate", serial.to_string())));
    fields(&pairs)
}

/// The path of an order.
fn path(order: &str) -> Result<String, CtlError> {
    Ok(format!("/admin/v1/acme/orders/{}", id(order, "the id of an order: see `acme order list`")?))
}
