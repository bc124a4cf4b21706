//! `signetctl node list | show | add | set | seed | delete`

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use policy::profile::Pattern;
use policy::registration::{CommonName, Registration, Thumbprint};

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::nodes::{Made, NewSeed, Node, Page, Revoked, Seed};
use crate::service::nodes::{MOST, SeedStanding};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Register a node; with `--seed`, make its seed too and show it, this once
    #[command(after_help = ADD_HELP)]
    Add {
        #[command(flatten)]
        wish: Wish,
        /// Make a seed that is good for this long, such as `24h`
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, num_args = 0..=1, default_missing_value = "24h")]
        seed: Option<Duration>,
    },
    /// Delete a node: nothing is issued for it any more, and its certificates are revoked
    Delete {
        /// Its common name
        #[arg(value_name = "NODE", value_parser = common_name)]
        node: CommonName,
    },
    /// List nodes
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Deleted ones, too
        #[arg(long)]
        deleted: bool,
    },
    /// Make a one-time seed, with which the node gets a certificate, and show it, this once
    #[command(after_help = SEED_HELP)]
    Seed {
        /// Its common name
        #[arg(value_name = "NODE", value_parser = common_name)]
        node: CommonName,
        /// For how long it is good, such as `1h` or `7d`
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
        lifetime: Duration,
    },
    /// Change what is registered of a node: everything that is not named here is taken away
    Set(Wish),
    /// Show one node and its seeds
    Show {
        /// Its common name
        #[arg(value_name = "NODE", value_parser = common_name)]
        node: CommonName,
    },
}

#[derive(Args)]
pub(super) struct Wish {
    /// What it is called; where that is a DNS name or an address, it may have certificates for it
    #[arg(value_name = "NODE", value_parser = common_name)]
    node: CommonName,
    /// Profile of its certificates; it must take "registration" as a proof
    #[arg(long = "profile-name", value_name = "PROFILE", default_value = "node")]
    of_profile: String,
    /// Names that it may have beside its own: `host.example.com`, `.example.com` for every name below,
    /// `10.0.0.0/8`; may be repeated
    #[arg(long = "name", value_name = "PATTERN", value_parser = Pattern::parse)]
    names: Vec<Pattern>,
    /// ACME account that is its own, by the thumbprint of its key: its orders for these names need no challenge
    #[arg(long, value_name = "THUMBPRINT", value_parser = thumbprint)]
    account: Option<Thumbprint>,
}

const ADD_HELP: &str = "\
A node gets certificates for its own names without proving each one again. It shows that it is the node
  by a seed, once:                 POST /api/v1/certify with the seed and a CSR
  by a certificate that it has:    any ACME client over mutual TLS, or POST /api/v1/client/renew
  by its ACME account:             --account, for clients that cannot show a certificate";

const SEED_HELP: &str = "\
For example, on the node:
  openssl req -new -newkey rsa:2048 -nodes -keyout key.pem -subj /CN=NODE -addext subjectAltName=DNS:NODE -out csr.pem
  jq -n --rawfile csr csr.pem --arg seed SEED '{csr: $csr, seed: $seed}' |
    curl --cacert root.pem --json @- https://HOST/api/v1/certify";

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::Add { wish, seed } => add(session, wish, *seed),
        Verb::Delete { node } => {
            let revoked: Revoked = session.client.call(Method::DELETE, &path(node), None::<&()>, OnExpired::Refuse)?;
            session
                .show(&revoked, |revoked| format!("deleted {node}, and revoked {} certificate(s)\n", revoked.revoked))
        }
        Verb::List { limit, deleted } => list(session, *limit, *deleted),
        Verb::Seed { node, lifetime } => {
            let made = make_seed(session, node, *lifetime)?;
            session.show(&made, secret)
        }
        Verb::Set(wish) => {
            let changed: Node =
                session.client.call(Method::PUT, &path(&wish.node), Some(&wish.registration()), OnExpired::Refuse)?;
            session.show(&changed, |changed| fields(&text(changed)))
        }
        Verb::Show { node } => show(session, node),
    }
}

impl Wish {
    fn registration(&self) -> Registration {
        Registration {
            common_name: self.node.clone(),
            names: self.names.clone(),
            profile: self.of_profile.clone(),
            account: self.account.clone(),
        }
    }
}

fn add(session: &Session, wish: &Wish, seed: Option<Duration>) -> Result<(), CtlError> {
    let node: Node = session.client.post("/admin/v1/nodes", &wish.registration(), OnExpired::Refuse)?;
    match seed {
        None => session.show(&node, |node| fields(&text(node))),
        Some(lifetime) => {
            let made = make_seed(session, &wish.node, lifetime)?;
            session.show(&(&node, &made), |(node, made)| fields(&text(node)) + &secret(made))
        }
    }
}

fn make_seed(session: &Session, node: &CommonName, lifetime: Duration) -> Result<Made, CtlError> {
    let wish = NewSeed { lifetime: lifetime.as_secs() };
    session.client.post(&format!("{}/seeds", path(node)), &wish, OnExpired::Refuse)
}

fn secret(made: &Made) -> String {
    let pairs = [("seed", made.secret.clone()), ("expires", time(made.seed.expires))];
    fields(&pairs) + "The seed is not shown again.\n"
}

fn show(session: &Session, node: &CommonName) -> Result<(), CtlError> {
    let shown: Node = session.client.get(&path(node), OnExpired::Refuse)?;
    let seeds: Vec<Seed> = session.client.get(&format!("{}/seeds", path(node)), OnExpired::Refuse)?;
    session.show(&(&shown, &seeds), |(shown, seeds)| {
        let rows = seeds.iter().map(|seed| {
            let standing = match seed.standing {
                SeedStanding::Expired => "expired",
                SeedStanding::Fresh => "fresh",
                SeedStanding::Used => "used",
            };
            [seed.id.clone(), standing.to_owned(), time(seed.expires), seed.created_by.clone()]
        });
        let seeds = if seeds.is_empty() { String::new() } else { table(["SEED", "STATE", "EXPIRES", "BY"], rows) };
        fields(&text(shown)) + &seeds
    })
}

fn list(session: &Session, limit: usize, deleted: bool) -> Result<(), CtlError> {
    let mut found: Vec<Node> = Vec::new();
    let mut cursor: Option<CommonName> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/nodes?deleted={deleted}&limit={}", (limit - found.len()).min(MOST));
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={}", encode(cursor.as_str())));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.nodes);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    let row = |node: &Node| {
        let registration = &node.registration;
        [
            registration.common_name.to_string(),
            node.state.as_str().to_owned(),
            registration.profile.clone(),
            node.certificate.map(|serial| serial.to_string()).unwrap_or_default(),
            names(registration),
        ]
    };
    session.show(&found, |found| table(["NODE", "STATE", "PROFILE", "CERTIFICATE", "NAMES"], found.iter().map(row)))
}

fn text(node: &Node) -> Vec<(&'static str, String)> {
    let registration = &node.registration;
    let mut pairs = vec![
        ("node", registration.common_name.to_string()),
        ("state", node.state.as_str().to_owned()),
        ("profile", registration.profile.clone()),
        ("names", names(registration)),
        ("registered", format!("{} by {}", time(node.registered), node.registered_by)),
    ];
    if let Some(account) = &registration.account {
        pairs.push(("ACME account", account.as_str().to_owned()));
    }
    if let Some(serial) = node.certificate {
        pairs.push(("certificate", serial.to_string()));
    }
    if let Some(deleted) = &node.deleted {
        pairs.push(("deleted", format!("{} by {}", time(deleted.at), deleted.by)));
    }
    pairs
}

fn names(registration: &Registration) -> String {
    registration.names.iter().map(Pattern::to_string).collect::<Vec<_>>().join(", ")
}

fn common_name(text: &str) -> Result<CommonName, policy::registration::CommonNameError> {
    CommonName::parse(text)
}

fn thumbprint(text: &str) -> Result<Thumbprint, policy::registration::ThumbprintError> {
    // What clients keep is often the account's whole URL.
    Thumbprint::parse(text.rsplit('/').next().unwrap_or_default())
}

/// The path of a node.
fn path(node: &CommonName) -> String {
    format!("/admin/v1/nodes/{}", encode(node.as_str()))
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 section 2.3).
fn encode(text: &str) -> String {
    let unreserved = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|octet| if unreserved(&octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_percent_encoded() {
        assert_eq!(path(&CommonName::parse("Jürgen a/b").unwrap()), "/admin/v1/nodes/J%C3%BCrgen%20a%2Fb");
    }
}
