//! `signetctl cert list | show`, and where the other verbs on certificates stand.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use policy::evidence::Method;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session, revoke};
use crate::api::admin::certificates::{Listed, Page, Shown};

/// Which certificates: those that carry a name, or rest on something.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct Which {
    /// Only those that carry exactly this name
    #[arg(long, value_parser = Name::parse)]
    name: Option<Name>,
    /// Only those that this ACME account ordered (its id)
    #[arg(long)]
    account: Option<String>,
    /// Only those for which this address showed control of a name
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only those of which a name was proved this way: dns-01, http-01, administrator...
    #[arg(long)]
    method: Option<Method>,
    /// Only those of which a name was proved by this version of a validator, such as http-01/1
    #[arg(long)]
    validator: Option<String>,
}

impl Which {
    /// The parameter that says so.
    fn parameter(&self) -> Result<Option<String>, CtlError> {
        let Self { name, account, address, method, validator } = self;
        let one = [
            name.as_ref().map(|name| ("name", name.to_string())),
            account.as_ref().map(|account| ("account", account.clone())),
            address.map(|address| ("address", address.to_string())),
            method.map(|method| ("method", method.as_str().to_owned())),
            validator.as_ref().map(|version| ("validator", version.clone())),
        ];
        let Some((field, value)) = one.into_iter().flatten().next() else { return Ok(None) };
        // Nothing that can be looked for holds anything else.
        let sound = |octet: u8| octet.is_ascii_alphanumeric() || b"-_./:*".contains(&octet);
        match value.bytes().all(sound) {
            true => Ok(Some(format!("&{field}={value}"))),
            false => Err(CtlError::Failed(format!("no certificate has the {field} `{value}`"))),
        }
    }
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List certificates by serial number
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one certificate and why it was signed
    Show {
        /// Its serial number, hexadecimal
        serial: Serial,
        /// Write the certificate as PEM and nothing else
        #[arg(long)]
        pem: bool,
    },
    /// Put certificates on hold, where their profile allows it: revoked until they are released
    Hold(revoke::Hold),
    /// Release certificates that are on hold
    Release(revoke::Hold),
    /// Revoke certificates, for ever; works while sealed
    Revoke(revoke::Revoke),
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List { which, limit } => list(session, which, *limit),
        Verb::Show { serial, pem } => show(session, *serial, *pem),
        Verb::Hold(asked) => revoke::hold(session, asked),
        Verb::Release(asked) => revoke::release(session, asked),
        Verb::Revoke(asked) => revoke::revoke(session, asked),
    }
}

fn list(session: &Session, which: &Which, limit: usize) -> Result<(), CtlError> {
    let which = which.parameter()?;
    let mut found: Vec<Listed> = Vec::new();
    let mut cursor: Option<Serial> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/certificates?limit={}", (limit - found.len()).min(PAGE));
        if let Some(which) = &which {
            path.push_str(which);
        }
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let page: Page = session.client.get(&path, OnExpired::Refuse)?;
        found.extend(page.certificates);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !session.json {
        eprintln!("signetctl: there are more: write a larger --limit");
    }
    session.show(&found, |found| table(["SERIAL", "STATE", "NOT AFTER", "PROFILE", "NAMES"], found.iter().map(row)))
}

fn row(listed: &Listed) -> [String; 5] {
    let names = if listed.names.is_empty() { listed.subject.clone() } else { listed.names.join(", ") };
    let state = if listed.revoked.is_some() { "revoked" } else { "good" };
    [listed.serial.to_string(), state.to_owned(), time(listed.not_after), listed.profile.clone(), names]
}

fn show(session: &Session, serial: Serial, pem: bool) -> Result<(), CtlError> {
    let shown: Shown = session.client.get(&format!("/admin/v1/certificates/{serial}"), OnExpired::Refuse)?;
    if pem {
        let certificate = tbs::Certificate::from_der(&shown.certificate);
        let certificate =
            certificate.map_err(|error| CtlError::Failed(format!("the answer is not understood: {error}")))?;
        return super::table::write(&certificate.to_pem());
    }
    session.show(&shown, text)
}

fn text(shown: &Shown) -> String {
    let listed = &shown.listed;
    let mut pairs = vec![
        ("serial", listed.serial.to_string()),
        ("subject", listed.subject.clone()),
        ("profile", listed.profile.clone()),
        ("not before", time(listed.not_before)),
        ("not after", time(listed.not_after)),
        ("signed", time(shown.at)),
        ("requested by", shown.record.actor.clone()),
        ("request id", shown.record.request_id.clone()),
    ];
    if let Some(order) = &shown.record.order {
        pairs.push(("order", order.clone()));
    }
    for evidence in &shown.record.names {
        let method = evidence.method.as_str();
        let proved = format!("{} by {method} at {} ({})", evidence.name, time(evidence.at.0), evidence.validator);
        pairs.push(("name", proved));
        if let Some(seen) = &evidence.seen {
            pairs.extend(seen.address.iter().map(|address| ("  answered", address.clone())));
            pairs.extend(seen.dns.iter().map(|dns| ("  dns", dns.clone())));
        }
        pairs.extend(evidence.caa.iter().map(|caa| ("  caa", format!("{} at {}", caa.found, time(caa.at.0)))));
    }
    pairs.push(match &listed.revoked {
        None => ("state", "good".to_owned()),
        Some(revoked) => {
            let reason = revoked.reason.map_or(String::new(), |code| format!(", reason code {code}"));
            ("state", format!("revoked at {}{reason}", time(revoked.at)))
        }
    });
    fields(&pairs)
}

/// Certificates asked for at a time.
const PAGE: usize = crate::service::certificates::MOST;
