//! `signetctl acme eab create | list | show | revoke`

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use policy::grant::{Grant, Pattern, RateLimits, Reuse};

use super::super::client::OnExpired;
use super::super::table::{fields, table, time};
use super::super::{CtlError, Session};
use super::id;
use crate::api::admin::acme::eab::{Create, Created, EabKey, Page, Revocation, Revoked};
use crate::service::acme::eab::Standing;
use crate::service::acme::eab_keys::{BoundAccounts, MOST};

#[derive(Subcommand)]
pub(in super::super) enum Verb {
    /// Make a key and show its secret, this once
    #[command(after_help = CREATE_HELP)]
    Create(Wish),
    /// List keys, used and revoked ones included
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one key, what it grants, and how much of that is used
    Show {
        /// Its id
        #[arg(id = "eab_key", value_name = "KEY")]
        key: String,
    },
    /// Revoke a key, for ever: no account can be bound to it any more
    Revoke {
        /// Its id
        #[arg(id = "eab_key", value_name = "KEY")]
        key: String,
        /// What becomes of the accounts that are bound to it: `keep` leaves them, within what the key granted
        #[arg(long, default_value = "keep")]
        accounts: Accounts,
    },
}

#[derive(Args)]
pub(in super::super) struct Wish {
    /// For whom or what it is, in words
    #[arg(long, default_value = "")]
    label: String,
    /// Names that its accounts may order: `host.example.com`, `.example.com` for every name below, `10.0.0.0/8`;
    /// may be repeated [default: every name that a profile permits]
    #[arg(long = "name", value_name = "PATTERN", value_parser = pattern)]
    names: Vec<Pattern>,
    /// Profiles that its accounts may order from; may be repeated [default: every profile that is offered]
    #[arg(long = "profile-name", value_name = "PROFILE")]
    profiles: Vec<String>,
    /// Most orders, of all its accounts together
    #[arg(long, value_name = "N")]
    orders: Option<u64>,
    /// Most certificates, of all its accounts together
    #[arg(long, value_name = "N")]
    certificates: Option<u64>,
    /// For how long accounts can be bound to it, such as `12h` or `30d` [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    lifetime: Option<Duration>,
    /// Bind any number of accounts to it, not only one
    #[arg(long)]
    reusable: bool,
    /// Rate limits do not hold for its accounts
    #[arg(long)]
    exempt: bool,
}

/// What becomes of accounts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in super::super) enum Accounts {
    /// They are ended
    End,
    /// They stay
    Keep,
}

const CREATE_HELP: &str = "\
A client registers with the key, for example:
  certbot register --server URL/directory --eab-kid KEY --eab-hmac-key MAC-KEY
  lego --server URL/directory --eab --kid KEY --hmac MAC-KEY …
The names and profiles narrow what the profiles on the appliance allow; they never widen it.";

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Create(wish) => {
            let created: Created = session.client.post("/admin/v1/acme/eab", &wish.to_create(), OnExpired::Refuse)?;
            session.show(&created, |created| {
                let mut pairs = text(&created.key);
                pairs.insert(1, ("MAC key", created.mac_key.clone()));
                fields(&pairs) + "The MAC key is not shown again.\n"
            })
        }
        Verb::List { limit } => list(session, *limit),
        Verb::Show { key } => {
            let shown: EabKey = session.client.get(&path(key)?, OnExpired::Refuse)?;
            session.show(&shown, |shown| fields(&text(shown)))
        }
        Verb::Revoke { key, accounts } => {
            let accounts = match accounts {
                Accounts::End => BoundAccounts::End,
                Accounts::Keep => BoundAccounts::Keep,
            };
            let path = format!("{}/revoke", path(key)?);
            let revoked: Revoked = session.client.post(&path, &Revocation { accounts }, OnExpired::Refuse)?;
            session.show(&revoked, |revoked| match accounts {
                BoundAccounts::End => format!("revoked {key}, and ended {} account(s)\n", revoked.ended),
                BoundAccounts::Keep => format!("revoked {key}\n"),
            })
        }
    }
}

impl Wish {
    fn to_create(&self) -> Create {
        let grant = Grant {
            label: self.label.clone(),
            names: self.names.clone(),
            profiles: self.profiles.clone(),
            orders: self.orders,
            certificates: self.certificates,
            expires: None,
            reuse: if self.reusable { Reuse::Many } else { Reuse::Once },
            limits: if self.exempt { RateLimits::Exempt } else { RateLimits::Apply },
        };
        Create { grant, lifetime: self.lifetime.map(|lifetime| lifetime.as_secs()) }
    }
}

fn list(session: &Session, limit: usize) -> Result<(), CtlError> {
    let mut found: Vec<EabKey> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/acme/eab?limit={}", (limit - found.len()).min(MOST));
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    session
        .show(&found, |found| table(["KEY", "STATE", "EXPIRES", "ACCOUNTS", "NAMES", "LABEL"], found.iter().map(row)))
}

fn row(key: &EabKey) -> [String; 6] {
    [
        key.id.clone(),
        standing(key.standing).to_owned(),
        expires(&key.grant),
        key.accounts.to_string(),
        names(&key.grant),
        key.grant.label.clone(),
    ]
}

fn text(key: &EabKey) -> Vec<(&'static str, String)> {
    let grant = &key.grant;
    let quota = |quota: Option<u64>, used: u64| match quota {
        Some(quota) => format!("{used} of {quota} used"),
        None => "any number".to_owned(),
    };
    let mut pairs = vec![
        ("key", key.id.clone()),
        ("label", grant.label.clone()),
        ("state", standing(key.standing).to_owned()),
        ("created", format!("{} by {}", time(key.created), key.created_by)),
        ("expires", expires(grant)),
        ("names", names(grant)),
        ("profiles", if grant.profiles.is_empty() { "all".to_owned() } else { grant.profiles.join(", ") }),
        ("orders", quota(grant.orders, key.orders)),
        ("certificates", quota(grant.certificates, key.certificates)),
        (
            "accounts",
            match grant.reuse {
                Reuse::Many => format!("{} bound", key.accounts),
                Reuse::Once => format!("{} of 1 bound", key.accounts),
            },
        ),
        (
            "rate limits",
            match grant.limits {
                RateLimits::Apply => "apply".to_owned(),
                RateLimits::Exempt => "do not apply".to_owned(),
            },
        ),
    ];
    if let Some(revoked) = &key.revoked {
        pairs.push(("revoked", format!("{} by {}", time(revoked.at), revoked.by)));
    }
    pairs
}

fn names(grant: &Grant) -> String {
    let names: Vec<String> = grant.names.iter().map(Pattern::to_string).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

fn expires(grant: &Grant) -> String {
    grant.expires.map_or_else(|| "never".to_owned(), |at| time(at.0))
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Expired => "expired",
        Standing::Revoked => "revoked",
        Standing::Used => "used",
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text)
}

/// The path of a key.
fn path(key: &str) -> Result<String, CtlError> {
    Ok(format!("/admin/v1/acme/eab/{}", id(key, "the id of an external account key: see `acme eab list`")?))
}
