//! `signetctl ca list | show NUMBER | create | sign | import | enable | disable | retire | revoke`

use std::io::Read as _;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use http::Method;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::authorities::{Authority, Create, Revoke, Sign, Upload};
use crate::api::admin::revoke::Reason;
use crate::service::authorities::{KeyKind, Kind, SubjectFields};

/// An authority to be made.
#[derive(Args)]
#[command(after_help = CREATE_HELP)]
pub(super) struct Wish {
    /// The profile with a section [authority] that allows it
    #[arg(long, value_name = "NAME")]
    of_profile: String,
    /// Who signs its certificate
    #[arg(long, value_enum)]
    kind: Written,
    /// Its key: p256, p384, rsa2048, rsa3072, rsa4096
    #[arg(long, value_name = "KIND", default_value = "p256")]
    key_kind: KeyKind,
    /// Common name
    #[arg(long, value_name = "TEXT")]
    common_name: String,
    /// Country, two capital letters
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// State or province
    #[arg(long, value_name = "TEXT")]
    state: Option<String>,
    /// Locality
    #[arg(long, value_name = "TEXT")]
    locality: Option<String>,
    /// Organization
    #[arg(long, value_name = "TEXT")]
    organization: Option<String>,
    /// Organizational unit
    #[arg(long, value_name = "TEXT")]
    organizational_unit: Option<String>,
    /// A subject alternative name; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Last second of its certificate, such as 2030-01-31T00:00:00Z [default: as long as profile and issuer allow]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339)]
    not_after: Option<SystemTime>,
}

const CREATE_HELP: &str = "\
The key is made in the CA's token and cannot leave it. A self-signed authority is enabled at once; an intermediate
waits for its certificate: `ca sign` has another authority sign it, `ca import` takes what a CA outside has signed.
Examples:
  signetctl ca create --of-profile departments --kind self-signed --common-name 'Departments Root' --country DE
  signetctl ca create --of-profile departments --kind intermediate --common-name 'Department 1'
  signetctl ca sign 3 --by 2";

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    /// Another CA
    Intermediate,
    /// It signs itself
    SelfSigned,
}

/// Which authority.
#[derive(Args)]
pub(super) struct One {
    /// Its number: see `ca list`
    number: u32,
}

/// A certificate that a CA outside has signed.
#[derive(Args)]
pub(super) struct Import {
    #[command(flatten)]
    one: One,
    /// PEM file with its certificate and those above it, in order; `-` for standard input
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
}

/// Who signs.
#[derive(Args)]
pub(super) struct By {
    #[command(flatten)]
    one: One,
    /// Number of the authority that signs its certificate
    #[arg(long, value_name = "NUMBER")]
    by: u32,
}

/// Why it is revoked.
#[derive(Args)]
pub(super) struct Why {
    #[command(flatten)]
    one: One,
    /// The reason that its issuer's CRL gives
    #[arg(long, value_enum)]
    reason: Option<Reason>,
}

/// What is written of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Chain,
    Csr,
    Text,
}

pub(super) fn list(session: &Session) -> Result<(), CtlError> {
    let all: Vec<Authority> = session.client.get(PATH, OnExpired::Refuse)?;
    session.show(&all, |all| table(["NUMBER", "STANDING", "KIND", "SUBJECT", "NOT AFTER"], all.iter().map(row)))
}

pub(super) fn show(session: &Session, number: u32, form: Form) -> Result<(), CtlError> {
    let shown: Authority = session.client.get(&format!("{PATH}/{number}"), OnExpired::Refuse)?;
    session.show(&shown, |shown| match form {
        Form::Chain => shown.chain.concat(),
        Form::Csr => shown.csr.clone().unwrap_or_default(),
        Form::Text => text(shown),
    })
}

pub(super) fn create(session: &Session, wish: &Wish) -> Result<(), CtlError> {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs());
    let not_after = wish.not_after.map(seconds).transpose();
    let not_after = not_after.map_err(|_| CtlError::Failed("the time lies before 1970".to_owned()))?;
    let body = Create {
        profile: wish.of_profile.clone(),
        kind: match wish.kind {
            Written::Intermediate => Kind::Intermediate,
            Written::SelfSigned => Kind::SelfSigned,
        },
        key: wish.key_kind,
        subject: SubjectFields {
            common_name: wish.common_name.clone(),
            country: wish.country.clone(),
            state: wish.state.clone(),
            locality: wish.locality.clone(),
            organization: wish.organization.clone(),
            organizational_unit: wish.organizational_unit.clone(),
        },
        names: wish.names.clone(),
        not_after,
    };
    told(session, &session.client.post(PATH, &body, OnExpired::Refuse)?)
}

pub(super) fn import(session: &Session, import: &Import) -> Result<(), CtlError> {
    let wrong = |error: std::io::Error| CtlError::Failed(format!("{}: {error}", import.chain.display()));
    let chain = match import.chain.as_os_str() == "-" {
        false => std::fs::read_to_string(&import.chain).map_err(wrong)?,
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(wrong)?;
            text
        }
    };
    let path = format!("{PATH}/{}/certificate", import.one.number);
    told(session, &session.client.post(&path, &Upload { chain }, OnExpired::Refuse)?)
}

pub(super) fn sign(session: &Session, by: &By) -> Result<(), CtlError> {
    let path = format!("{PATH}/{}/sign", by.one.number);
    told(session, &session.client.post(&path, &Sign { by: by.by }, OnExpired::Refuse)?)
}

pub(super) fn revoke(session: &Session, why: &Why) -> Result<(), CtlError> {
    let path = format!("{PATH}/{}/revoke", why.one.number);
    told(session, &session.client.post(&path, &Revoke { reason: why.reason }, OnExpired::Refuse)?)
}

/// `enable`, `disable` or `retire`.
pub(super) fn stand(session: &Session, one: &One, verb: &str) -> Result<(), CtlError> {
    let path = format!("{PATH}/{}/{verb}", one.number);
    told(session, &session.client.call(Method::POST, &path, None::<&()>, OnExpired::Refuse)?)
}

fn told(session: &Session, authority: &Authority) -> Result<(), CtlError> {
    session.show(authority, text)
}

fn row(authority: &Authority) -> [String; 5] {
    [
        authority.number.to_string(),
        standing(authority),
        authority.kind.as_str().to_owned(),
        authority.subject.clone(),
        authority.not_after.map(time).unwrap_or_default(),
    ]
}

fn standing(authority: &Authority) -> String {
    match authority.revoked {
        Some(_) => format!("{}, revoked", authority.standing.as_str()),
        None => authority.standing.as_str().to_owned(),
    }
}

fn text(authority: &Authority) -> String {
    let mut pairs = vec![
        ("number", authority.number.to_string()),
        ("label", authority.label.clone()),
        ("standing", standing(authority)),
        ("kind", authority.kind.as_str().to_owned()),
        ("subject", authority.subject.clone()),
    ];
    let more = [
        ("profile", authority.profile.clone()),
        ("key identifier", authority.key_identifier.clone()),
        ("not after", authority.not_after.map(time)),
        ("revoked", authority.revoked.map(time)),
        ("created", authority.created.map(time)),
        ("changed", authority.changed.map(time)),
        ("by", authority.changed_by.clone()),
    ];
    pairs.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    fields(&pairs)
}

const PATH: &str = "/admin/v1/authorities";
