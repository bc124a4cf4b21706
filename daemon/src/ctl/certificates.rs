//! `signetctl cert list | show`, and where the other verbs on certificates stand.

use clap::Subcommand;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session, revoke};
use crate::api::admin::certificates::{Listed, Page, Shown};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List certificates by serial number
    List {
        /// Only those that carry exactly this name
        #[arg(long)]
        name: Option<String>,
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
        Verb::List { name, limit } => list(session, name.as_deref(), *limit),
        Verb::Show { serial, pem } => show(session, *serial, *pem),
        Verb::Hold(asked) => revoke::hold(session, asked),
        Verb::Release(asked) => revoke::release(session, asked),
        Verb::Revoke(asked) => revoke::revoke(session, asked),
    }
}

fn list(session: &Session, name: Option<&str>, limit: usize) -> Result<(), CtlError> {
    // Checked here, because what is no name may be no URL either.
    let name = name.map(Name::parse).transpose().map_err(|error| CtlError::Failed(error.to_string()))?;
    let mut found: Vec<Listed> = Vec::new();
    let mut cursor: Option<Serial> = None;
    while found.len() < limit {
        let mut path = format!("/admin/v1/certificates?limit={}", (limit - found.len()).min(PAGE));
        if let Some(name) = &name {
            path.push_str(&format!("&name={name}"));
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
        let method = serde_json::to_value(evidence.method).ok();
        let method = method.as_ref().and_then(|method| method.as_str()).unwrap_or_default().to_owned();
        let proved = format!("{} by {method} at {} ({})", evidence.name, time(evidence.at.0), evidence.validator);
        pairs.push(("name", proved));
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
