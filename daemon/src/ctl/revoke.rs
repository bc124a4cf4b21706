//! `signetctl cert revoke | hold | release`

use std::path::PathBuf;

use clap::Args;
use http::Method as Verb;
use policy::evidence::Method;
use policy::serial::Serial;
use policy::tbs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::client::OnExpired;
use super::{CtlError, Session};
use crate::api::admin::revoke::{Act, Acts, Done, Found, MOST, Question, Reason, Revocation};

/// Which certificates. One or a file of one is acted on at once; a list or a question first says how
/// many there are, and acts with `--yes`.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(super) struct Which {
    /// Serial numbers, 40 hexadecimal digits each
    serials: Vec<Serial>,
    /// PEM or DER file of a certificate
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// File with serial numbers, one a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// All that this ACME account ordered
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// All of this profile
    #[arg(long, value_name = "NAME")]
    of_profile: Option<String>,
    /// All that were issued at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    issued_after: Option<u64>,
    /// All that were issued before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    issued_before: Option<u64>,
    /// All with a name that this version of a validator proved, such as `http-01/1`
    #[arg(long, value_name = "VERSION")]
    validator: Option<String>,
    /// All with a name that was proved in this way, such as `http-01`
    #[arg(long, value_name = "METHOD", value_parser = read_method)]
    method: Option<Method>,
}

/// Whether many are acted on.
#[derive(Args)]
pub(super) struct How {
    /// Do it: without this, a list or a question only says how many there are
    #[arg(long)]
    yes: bool,
    /// Only say how many there are
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

#[derive(Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    /// Why
    #[arg(long)]
    reason: Option<Reason>,
    /// Since when the key is suspected (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    invalidity_date: Option<u64>,
}

#[derive(Args)]
pub(super) struct Hold {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

pub(super) fn revoke(session: &Session, asked: &Revoke) -> Result<(), CtlError> {
    let Revoke { which, how, reason, invalidity_date } = asked;
    let deed = Act::Revoke(Revocation { reason: *reason, invalidity_date: *invalidity_date });
    if let (Some(serial), false) = (which.single()?, how.dry_run) {
        let Act::Revoke(revocation) = &deed else { return Ok(()) };
        let path = format!("/admin/v1/certificates/{serial}/revoke");
        session.client.act(Verb::POST, &path, Some(revocation), OnExpired::Refuse)?;
        return session.say(&format!("revoked {serial}"));
    }
    many(session, which, how, &deed, "revoked")
}

pub(super) fn hold(session: &Session, asked: &Hold) -> Result<(), CtlError> {
    many(session, &asked.which, &asked.how, &Act::Hold, "put on hold")
}

pub(super) fn release(session: &Session, asked: &Hold) -> Result<(), CtlError> {
    many(session, &asked.which, &asked.how, &Act::Release, "released")
}

fn many(session: &Session, which: &Which, how: &How, deed: &Act, done: &str) -> Result<(), CtlError> {
    let serials = which.find(session, deed)?;
    let named = which.is_named_one_by_one();
    if how.dry_run || !(named || how.yes) {
        let count = serials.len();
        let hint = if how.dry_run { "" } else { ": write --yes to do it" };
        let answer = serde_json::json!({ "found": count, "serials": serials });
        return session.show(&answer, |_| format!("{count} certificate(s) would be {done}{hint}\n"));
    }
    let mut changed = 0;
    for some in serials.chunks(MOST) {
        let acts = Acts { deed: deed.clone(), serials: some.to_vec() };
        let answer: Done = session.client.post("/admin/v1/certificates/act", &acts, OnExpired::Refuse)?;
        changed += answer.changed;
    }
    let answer = serde_json::json!({ "found": serials.len(), "changed": changed });
    session.show(&answer, |_| format!("{changed} certificate(s) {done}\n"))
}

impl Which {
    /// The only one that is named, if only one is.
    fn single(&self) -> Result<Option<Serial>, CtlError> {
        if self.list.is_some() || self.asks() {
            return Ok(None);
        }
        match (&self.serials[..], &self.file) {
            ([serial], None) => Ok(Some(*serial)),
            ([], Some(file)) => serial_of(file).map(Some),
            _ => Ok(None),
        }
    }

    fn is_named_one_by_one(&self) -> bool {
        self.list.is_none() && !self.asks()
    }

    fn asks(&self) -> bool {
        self.account.is_some()
            || self.of_profile.is_some()
            || self.issued_after.is_some()
            || self.issued_before.is_some()
            || self.validator.is_some()
            || self.method.is_some()
    }

    fn find(&self, session: &Session, deed: &Act) -> Result<Vec<Serial>, CtlError> {
        let mut serials = self.serials.clone();
        if let Some(file) = &self.file {
            serials.push(serial_of(file)?);
        }
        if let Some(list) = &self.list {
            serials.extend(listed(list)?);
        }
        if self.asks() {
            let mut cursor = None;
            loop {
                let question = Question {
                    deed: deed.clone(),
                    cursor,
                    account: self.account.clone(),
                    profile: self.of_profile.clone(),
                    issued_after: self.issued_after,
                    issued_before: self.issued_before,
                    validator: self.validator.clone(),
                    method: self.method,
                };
                let found: Found = session.client.post("/admin/v1/certificates/find", &question, OnExpired::Refuse)?;
                serials.extend(found.serials);
                cursor = found.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        serials.sort_unstable();
        serials.dedup();
        Ok(serials)
    }
}

fn serial_of(file: &PathBuf) -> Result<Serial, CtlError> {
    let wrong = |why: &dyn std::fmt::Display| CtlError::Failed(format!("{}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| wrong(&error))?;
    let der = match CertificateDer::from_pem_slice(&bytes) {
        Ok(der) => der.to_vec(),
        Err(_) => bytes,
    };
    let certificate = tbs::Certificate::from_der(&der).map_err(|error| wrong(&error))?;
    Serial::from_slice(certificate.serial()).map_err(|error| wrong(&error))
}

/// Serial numbers, one a line; empty lines and what follows `#` are left out.
fn listed(file: &PathBuf) -> Result<Vec<Serial>, CtlError> {
    let wrong = |why: &dyn std::fmt::Display| CtlError::Failed(format!("{}: {why}", file.display()));
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| wrong(&error))?;
    let mut serials = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let serial = line.parse().map_err(|error| wrong(&format_args!("line {}: {error}", number + 1)))?;
            serials.push(serial);
        }
    }
    Ok(serials)
}

pub(super) fn read_time(text: &str) -> Result<u64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|error| format!("{error}: write for example 2026-11-23T05:00:00Z"))?;
    Ok(time.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn read_method(text: &str) -> Result<Method, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| "this is no method of proof: write for example http-01".to_owned())
}
