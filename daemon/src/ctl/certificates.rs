//! `signetctl cert search | show`, `signetctl expiring`, and where the other verbs on certificates stand.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use policy::evidence::Method;
use policy::serial::Serial;
use policy::tbs;
use serde::de::DeserializeOwned;

use super::client::{OnExpired, with_query};
use super::revoke::read_time;
use super::table::{fields, table, time};
use super::{CtlError, Session, export, issue, revoke};
use crate::api::admin::certificates::{Listed, Page, Parameters, Shown};

/// Which certificates: those that every option fits.
#[derive(Args, Default)]
pub(super) struct Which {
    /// With this name: exactly, `*.example.test` for all below it, `*text*` for all that hold it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Whose serial number begins so (hexadecimal)
    #[arg(long = "serial", value_name = "DIGITS")]
    begins: Option<String>,
    /// With this public key (SHA-256 of the SubjectPublicKeyInfo)
    #[arg(long, value_name = "SHA256")]
    spki: Option<String>,
    /// Of this profile
    #[arg(long, value_name = "NAME")]
    of_profile: Option<String>,
    /// That are so
    #[arg(long, value_parser = ["valid", "expired", "held", "revoked"])]
    status: Option<String>,
    /// That this ACME account ordered (its id)
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// That this one asked for, as the journal says it, such as admin:…
    #[arg(long)]
    actor: Option<String>,
    /// That were made for this node
    #[arg(long)]
    node: Option<String>,
    /// For which this address showed control of a name
    #[arg(long)]
    address: Option<IpAddr>,
    /// Of which a name was proved this way: dns-01, http-01, administrator...
    #[arg(long)]
    method: Option<Method>,
    /// Of which a name was proved by this version of a validator, such as http-01/1
    #[arg(long, value_name = "VERSION")]
    validator: Option<String>,
    /// Signed then or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    issued_after: Option<u64>,
    /// Signed before (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    issued_before: Option<u64>,
    /// That are over then or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    expires_after: Option<u64>,
    /// That are over before (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    expires_before: Option<u64>,
}

impl Which {
    /// The parameters that say so.
    pub(super) fn parameters(&self) -> Parameters {
        Parameters {
            account: self.account.clone(),
            actor: self.actor.clone(),
            address: self.address,
            expires_after: self.expires_after,
            expires_before: self.expires_before,
            issued_after: self.issued_after,
            issued_before: self.issued_before,
            method: self.method.map(|method| method.as_str().to_owned()),
            name: self.name.clone(),
            node: self.node.clone(),
            profile: self.of_profile.clone(),
            serial: self.begins.clone(),
            spki: self.spki.clone(),
            status: self.status.clone(),
            validator: self.validator.clone(),
            ..Parameters::default()
        }
    }
}

/// Asks for page after page until there are `limit`, or no more. Says whether there are more.
pub(super) fn pages<T: DeserializeOwned>(
    session: &Session,
    path: &str,
    mut parameters: Parameters,
    limit: usize,
    most: usize,
    mut take: impl FnMut(T) -> Result<(), CtlError>,
) -> Result<bool, CtlError> {
    let mut taken = 0;
    while taken < limit {
        parameters.limit = Some((limit - taken).min(most));
        let page: Page<T> = session.client.get(&with_query(path, &parameters)?, OnExpired::Refuse)?;
        taken += page.certificates.len();
        page.certificates.into_iter().try_for_each(&mut take)?;
        parameters.cursor = page.next;
        if parameters.cursor.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Export certificates: one, or all that fit
    Export(export::Export),
    /// Issue a certificate on your word
    Issue(issue::Issue),
    /// Renew a certificate: the same profile and names, another key or the same
    Renew(issue::Renew),
    /// Search certificates
    #[command(visible_alias = "list", after_help = SEARCH)]
    Search {
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
        Verb::Export(asked) => export::export(session, asked),
        Verb::Issue(asked) => issue::issue(session, asked),
        Verb::Renew(asked) => issue::renew(session, asked),
        Verb::Search { which, limit } => search(session, which.parameters(), *limit),
        Verb::Show { serial, pem } => show(session, *serial, *pem),
        Verb::Hold(asked) => revoke::hold(session, asked),
        Verb::Release(asked) => revoke::release(session, asked),
        Verb::Revoke(asked) => revoke::revoke(session, asked),
    }
}

/// The certificates that are good and over within a time, whether they were renewed or not.
pub(super) fn expiring(session: &Session, within: Duration, limit: usize) -> Result<(), CtlError> {
    let parameters = Parameters {
        expires_within: Some(within.as_secs()),
        status: Some("valid".to_owned()),
        ..Parameters::default()
    };
    search(session, parameters, limit)
}

fn search(session: &Session, parameters: Parameters, limit: usize) -> Result<(), CtlError> {
    let mut found: Vec<Listed> = Vec::new();
    let more = pages(session, "/admin/v1/certificates", parameters, limit, PAGE, |listed| {
        found.push(listed);
        Ok(())
    })?;
    if more && !session.json {
        eprintln!("signetctl: there may be more: write a larger --limit");
    }
    session.show(&found, |found| table(["SERIAL", "STATUS", "NOT AFTER", "PROFILE", "NAMES"], found.iter().map(row)))
}

fn row(listed: &Listed) -> [String; 5] {
    let names = if listed.names.is_empty() { listed.subject.clone() } else { listed.names.join(", ") };
    [listed.serial.to_string(), listed.status.clone(), time(listed.not_after), listed.profile.clone(), names]
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
        ("signed", time(listed.at)),
        ("requested by", shown.record.actor.clone()),
        ("request id", shown.record.request_id.clone()),
    ];
    pairs.extend(shown.record.requester.iter().map(|who| ("on behalf of", who.clone())));
    pairs.extend(shown.record.order.iter().map(|order| ("order", order.clone())));
    pairs.extend(shown.record.replaces.iter().map(|serial| ("renews", serial.to_string())));
    pairs.extend(shown.record.subject.iter().map(|method| ("subject by", method.as_str().to_owned())));
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
        None => ("state", listed.status.clone()),
        Some(revoked) => {
            let reason = revoked.reason.map_or(String::new(), |code| format!(", reason code {code}"));
            ("state", format!("{} at {}{reason}", listed.status, time(revoked.at)))
        }
    });
    fields(&pairs)
}

/// Certificates asked for at a time.
const PAGE: usize = crate::service::search::MOST;

const SEARCH: &str = "\
Examples:
  signetctl cert search --name www.example.test
  signetctl cert search --name '*.example.test' --status valid
  signetctl cert search --of-profile server --issued-after 2026-11-01T00:00:00Z
  signetctl cert search --spki \"$(openssl pkey -in key.pem -pubout -outform DER | sha256sum | cut -c-64)\"";
