//! The file as it is written, and its judgement: every rule that a value or two must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::revocation::RawRevocation;
use super::{Config, FORMAT, Key, Listen, Peer};
use crate::confine::{self, Calls, Network, Program, Waiver};
use crate::signer::secrets::RESERVED;
use crate::wire::Purpose;

/// What is wrong, and where in the text.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) problem: String,
}

/// Reads TOML into a [`Config`], or says which byte is to blame.
pub(super) fn parse(text: &str) -> Result<Config, Fault> {
    // The version is read first, on its own: a newer file may hold fields that this program does
    // not know, and "unknown field" would be the wrong thing to say of it.
    if let Ok(Versioned { version }) = toml::from_str::<Versioned>(text)
        && *version.get_ref() != i64::from(FORMAT)
    {
        return fault(
            version.span(),
            format!(
                "version {} of this file is not known to this program: write `version = {FORMAT}`, or install the signer that reads it",
                version.get_ref()
            ),
        );
    }
    let file: File = toml::from_str(text).map_err(|error| Fault {
        offset: error.span().map_or(0, |span| span.start),
        problem: sentence(error.message()),
    })?;
    judge(file)
}

#[derive(Deserialize)]
struct Versioned {
    version: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: i64,
    name: Spanned<String>,
    token: Spanned<String>,
    module: Spanned<String>,
    module_arguments: Option<Spanned<String>>,
    #[serde(default)]
    module_writes: Vec<Spanned<String>>,
    #[serde(default)]
    environment: BTreeMap<Spanned<String>, Spanned<String>>,
    state: Spanned<String>,
    profiles: Option<Spanned<String>>,
    sessions: Option<Spanned<i64>>,
    deadline: Option<Spanned<String>>,
    identity: Option<Spanned<String>>,
    pin: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    #[serde(default)]
    listen: Vec<Spanned<RawListen>>,
    #[serde(default)]
    key: Vec<Spanned<RawKey>>,
    #[serde(default)]
    revocation: RawRevocation,
    #[serde(default)]
    hardening: RawHardening,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHardening {
    #[serde(default)]
    network: bool,
    #[serde(default)]
    system_calls: Vec<Spanned<String>>,
    #[serde(default)]
    without: Vec<Waiver>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    path: Spanned<String>,
    peer: Peer,
    uid: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    label: Spanned<String>,
    purpose: Purpose,
    certificate: Option<Spanned<String>>,
}

fn judge(file: File) -> Result<Config, Fault> {
    let listen = listeners(&file.listen)?;
    let keys = keys(&file.key)?;

    let for_signers = file.listen.iter().find(|listen| listen.get_ref().peer == Peer::Signer);
    for (key, written) in keys.iter().zip(&file.key) {
        judge_key(key, written.span(), &file, for_signers.is_some())?;
    }
    if let Some(listen) = for_signers
        && !keys.iter().any(|key| key.purpose == Purpose::Identity)
    {
        return fault(
            listen.span(),
            "a listener has `peer = \"signer\"`, but no key has `purpose = \"identity\"` to answer it with: add the key or remove the listener".into(),
        );
    }
    if file.pin.is_none() && file.identity.is_none() {
        return fault(
            0..0,
            "without `pin` this signer comes up sealed, and is unsealed with the help of the identity key: write `identity = \"/run/signet/identity.sock\"`, or `pin = \"…\"` for a token that is always open".into(),
        );
    }

    Ok(Config {
        name: name(&file.name)?,
        token: token(&file.token)?,
        module: absolute("module", &file.module)?,
        module_arguments: file.module_arguments.as_ref().map(arguments).transpose()?,
        environment: environment(&file.environment)?,
        state: absolute("state", &file.state)?,
        profiles: file.profiles.as_ref().map(|path| absolute("profiles", path)).transpose()?,
        sessions: file.sessions.as_ref().map_or(Ok(DEFAULT_SESSIONS), sessions)?,
        deadline: file.deadline.as_ref().map_or(Ok(DEFAULT_DEADLINE), deadline)?,
        identity: file.identity.as_ref().map(|path| socket("identity", path)).transpose()?,
        pin: file.pin.as_ref().map(|path| absolute("pin", path)).transpose()?,
        module_writes: file
            .module_writes
            .iter()
            .map(|path| absolute("module_writes", path))
            .collect::<Result<_, _>>()?,
        user: file.user.as_ref().map(user).transpose()?,
        listen,
        keys,
        bounds: file.revocation.judge()?,
        hardening: hardening(file.hardening)?,
    })
}

fn hardening(raw: RawHardening) -> Result<Calls, Fault> {
    let sockets = if raw.network { Network::Allowed } else { Network::Refused };
    let mut calls = Calls { more: Vec::new(), sockets, waived: raw.without };
    for call in raw.system_calls {
        calls.more.push(call.get_ref().clone());
        if confine::compiles(Program::Signer, &calls).is_err() {
            let problem = format!(
                "{:?} is not a system call of this machine: write its name, such as \"sysinfo\"",
                call.get_ref()
            );
            return fault(call.span(), problem);
        }
    }
    Ok(calls)
}

fn name(text: &Spanned<String>) -> Result<String, Fault> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let value = text.get_ref();
    if (1..=32).contains(&value.len()) && value.bytes().all(good) {
        return Ok(value.clone());
    }
    fault(
        text.span(),
        format!("`name = {value:?}` is not 1 to 32 lower-case letters, digits and hyphens: write `name = \"ca\"`"),
    )
}

/// RFC 7512. The module's own finder reads the URI in full; here only what would be a mistake for
/// ever: naming by slot, and secrets in a file that is not secret.
fn token(text: &Spanned<String>) -> Result<String, Fault> {
    let value = text.get_ref();
    let Some(path) = value.strip_prefix("pkcs11:") else {
        return fault(
            text.span(),
            format!("`token = {value:?}` is not an RFC 7512 URI: write `token = \"pkcs11:token=signet-ca\"`"),
        );
    };
    let named = |attribute: &str| {
        path.split([';', '?', '&']).any(|part| part.split_once('=').is_some_and(|(key, _)| key == attribute))
    };
    if named("pin-value") || named("pin-source") {
        return fault(text.span(), "the token's URI must not hold a PIN: write the path of its file as `pin`".into());
    }
    if named("slot-id") {
        return fault(
            text.span(),
            "a slot number changes when tokens come and go: name the token, as in `pkcs11:token=signet-ca`".into(),
        );
    }
    if !["token", "serial"].into_iter().any(named) {
        return fault(
            text.span(),
            "the URI does not say which token: write its label, as in `pkcs11:token=signet-ca`".into(),
        );
    }
    Ok(value.clone())
}

fn arguments(text: &Spanned<String>) -> Result<String, Fault> {
    if text.get_ref().contains('\0') {
        return fault(text.span(), "`module_arguments` must not hold a NUL character: remove it".into());
    }
    Ok(text.get_ref().clone())
}

fn environment(table: &BTreeMap<Spanned<String>, Spanned<String>>) -> Result<BTreeMap<String, String>, Fault> {
    let mut result = BTreeMap::new();
    for (name, value) in table {
        let text = name.get_ref();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if text.is_empty() || !text.bytes().all(good) || text.as_bytes()[0].is_ascii_digit() {
            return fault(
                name.span(),
                format!("{text:?} is not the name of an environment variable: write one such as SOFTHSM2_CONF"),
            );
        }
        // The loader has read these before main; here they would only mislead.
        if text.starts_with("LD_") {
            return fault(
                name.span(),
                format!("{text} has no effect once the program runs: remove it, and write the module's full path"),
            );
        }
        if value.get_ref().contains('\0') {
            return fault(value.span(), format!("the value of {text} must not hold a NUL character: remove it"));
        }
        result.insert(text.clone(), value.get_ref().clone());
    }
    Ok(result)
}

fn sessions(value: &Spanned<i64>) -> Result<usize, Fault> {
    match usize::try_from(*value.get_ref()) {
        Ok(count) if SESSIONS.contains(&count) => Ok(count),
        _ => fault(
            value.span(),
            format!(
                "`sessions = {}` is not between {} and {}: {DEFAULT_SESSIONS} suits most tokens",
                value.get_ref(),
                SESSIONS.start(),
                SESSIONS.end()
            ),
        ),
    }
}

fn deadline(text: &Spanned<String>) -> Result<Duration, Fault> {
    let value = text.get_ref();
    let Ok(duration) = humantime::parse_duration(value) else {
        return fault(
            text.span(),
            format!("`deadline = {value:?}` is not a duration: write a number and a unit, as in `deadline = \"10s\"`"),
        );
    };
    if !DEADLINES.contains(&duration) {
        return fault(
            text.span(),
            format!(
                "`deadline = {value:?}` is not between {} and {}: write `deadline = \"10s\"`",
                humantime::format_duration(*DEADLINES.start()),
                humantime::format_duration(*DEADLINES.end())
            ),
        );
    }
    Ok(duration)
}

fn user(text: &Spanned<String>) -> Result<String, Fault> {
    let value = text.get_ref();
    if value.is_empty() || value.contains(['\0', ':', '/']) {
        return fault(text.span(), format!("`user = {value:?}` is not a user name: write `user = \"signet-signer\"`"));
    }
    if value == "root" {
        return fault(
            text.span(),
            "`user = \"root\"` gives nothing up: write an account of its own, as in `user = \"signet-signer\"`".into(),
        );
    }
    Ok(value.clone())
}

fn absolute(field: &str, text: &Spanned<String>) -> Result<PathBuf, Fault> {
    let value = text.get_ref();
    if !value.starts_with('/') || value.contains('\0') {
        return fault(
            text.span(),
            format!("`{field}` is {value:?}, which is not an absolute path: write it in full, from `/`"),
        );
    }
    if PathBuf::from(value).components().any(|part| part == std::path::Component::ParentDir) {
        return fault(text.span(), format!("`{field}` is {value:?}: write the path without `..`"));
    }
    Ok(PathBuf::from(value))
}

fn socket(field: &str, text: &Spanned<String>) -> Result<PathBuf, Fault> {
    let path = absolute(field, text)?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return fault(
            text.span(),
            format!(
                "`{field}` is longer than the {MAX_SOCKET_PATH} octets that a socket's path may have: write a shorter one, as in /run/signet/ca.sock"
            ),
        );
    }
    Ok(path)
}

fn listeners(written: &[Spanned<RawListen>]) -> Result<Vec<Listen>, Fault> {
    if written.is_empty() {
        return fault(
            0..0,
            "no `[[listen]]` is written, so nobody could reach this signer: add one with `path` and `peer`".into(),
        );
    }
    let mut paths = BTreeSet::new();
    let mut result = Vec::new();
    for raw in written {
        let raw = raw.get_ref();
        let path = socket("path", &raw.path)?;
        if !paths.insert(path.clone()) {
            return fault(
                raw.path.span(),
                format!("two listeners have the path {}: give each a path of its own", path.display()),
            );
        }
        result.push(Listen { path, peer: raw.peer, uid: raw.uid });
    }
    Ok(result)
}

fn keys(written: &[Spanned<RawKey>]) -> Result<Vec<Key>, Fault> {
    if written.is_empty() {
        return fault(
            0..0,
            "no `[[key]]` is written, so this signer could sign nothing: add one with `label` and `purpose`".into(),
        );
    }
    let mut labels = BTreeSet::new();
    let mut result = Vec::new();
    for raw in written {
        let raw = raw.get_ref();
        let label = raw.label.get_ref();
        if label.is_empty() || label.len() > 64 || label.chars().any(char::is_control) {
            return fault(
                raw.label.span(),
                format!("`label = {label:?}` is not 1 to 64 printable characters: write the key's CKA_LABEL"),
            );
        }
        if let Some(prefix) = RESERVED.into_iter().find(|prefix| label.starts_with(prefix)) {
            return fault(
                raw.label.span(),
                format!(
                    "labels that begin with {prefix:?} are for keys that the signer makes itself: remove {label:?}"
                ),
            );
        }
        if !labels.insert(label) {
            return fault(
                raw.label.span(),
                format!("two keys have the label {label:?}: each key has one purpose, so write each label once"),
            );
        }
        let certificate = raw.certificate.as_ref().map(|path| absolute("certificate", path)).transpose()?;
        result.push(Key { label: label.clone(), purpose: raw.purpose, certificate });
    }
    Ok(result)
}

/// What a purpose demands of the rest of the file.
fn judge_key(key: &Key, at: Range<usize>, file: &File, listens_to_signers: bool) -> Result<(), Fault> {
    let label = &key.label;
    let wants_certificate = matches!(key.purpose, Purpose::Issue | Purpose::Ocsp | Purpose::Tls);
    if wants_certificate && key.certificate.is_none() {
        return fault(
            at,
            format!(
                "the key {label:?} is accepted only when it matches its certificate: write `certificate = \"/etc/signet/ca/{label}.pem\"`"
            ),
        );
    }
    match key.purpose {
        Purpose::Issue if file.profiles.is_none() => fault(
            at,
            format!(
                "the key {label:?} issues certificates, and no profile says which: write `profiles = \"/etc/signet/profiles\"`"
            ),
        ),
        Purpose::Identity if !listens_to_signers => fault(
            at,
            format!(
                "the key {label:?} answers other signers, and none can reach it: add a `[[listen]]` with `peer = \"signer\"`"
            ),
        ),
        // A sealed host must be reachable to be unsealed.
        Purpose::Identity | Purpose::Tls if file.pin.is_none() => fault(
            at,
            format!(
                "the key {label:?} must work while the appliance is sealed: write the path of its token's PIN as `pin`"
            ),
        ),
        _ => Ok(()),
    }
}

fn fault<T>(at: Range<usize>, problem: String) -> Result<T, Fault> {
    Err(Fault { offset: at.start, problem })
}

/// The parser's words, and a remedy where they hold none.
fn sentence(message: &str) -> String {
    let message = message.trim().replace('\n', ": ");
    if message.starts_with("missing field") { format!("{message}: add it") } else { message }
}

const DEFAULT_SESSIONS: usize = 8;
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// More sessions than that gain nothing on any token that was measured.
const SESSIONS: RangeInclusive<usize> = 1..=64;

/// Below, an RSA-4096 signature on a busy host would end the signer; above, clients have gone.
const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// sockaddr_un's sun_path without the final NUL, unix(7).
const MAX_SOCKET_PATH: usize = 107;
