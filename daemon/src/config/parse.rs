//! From the file as it stands to a [`Config`] that cannot be wrong.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::{
    Acme, Address, Ca, ClientCertificates, Config, FORMAT, Limits, Listener, Signers, Store, Surface, Tls, TlsVersion,
    Transport, accounts, orders, raw, validation,
};

/// A configuration that cannot be used: file, line, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// One sentence: what is wrong and what to write instead.
    pub problem: String,
}

impl Config {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: file.clone(),
            line: 1,
            problem: format!("the file cannot be read: {error}"),
        })?;
        Self::from_toml(&file, &text)
    }

    /// Parses `text`; `file` is used in messages, and relative paths are relative to it.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed = match toml::from_str::<raw::File>(text) {
            Ok(raw) => check(raw, Path::new(file).parent().unwrap_or(Path::new(""))),
            Err(error) => Err(Wrong { at: error.span().unwrap_or(0..0), problem: sentence(error.message()) }),
        };
        parsed.map_err(|wrong| ConfigError {
            file: file.to_owned(),
            line: 1 + text.bytes().take(wrong.at.start).filter(|byte| *byte == b'\n').count(),
            problem: wrong.problem,
        })
    }
}

/// The words of the TOML reader, with what to do where they do not say it.
fn sentence(words: &str) -> String {
    let words = words.replace('\n', ", ");
    let words =
        words.replace("expected u64", "expected a whole number").replace("expected u16", "expected a whole number");
    if words.starts_with("missing field") { format!("{words}: add it") } else { words }
}

/// What is wrong, and at which bytes of the file.
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) problem: String,
}

impl Wrong {
    /// What no field of the file is to blame for.
    pub(super) fn nowhere(problem: impl Into<String>) -> Self {
        Self { at: 0..0, problem: problem.into() }
    }
}

pub(super) fn wrong<T, V>(at: &Spanned<V>, problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at: at.span(), problem: problem.into() })
}

fn check(raw: raw::File, base: &Path) -> Result<Config, Wrong> {
    let version = *raw.version.get_ref();
    if version != FORMAT {
        return wrong(&raw.version, format!("this program reads version {FORMAT} of the file: write `version = 1`"));
    }
    let public_url = public_url(&raw.public_url)?;
    Ok(Config {
        acme: acme(raw.acme)?,
        ca: ca(raw.ca, base)?,
        certmaker: super::certmaker::parse(raw.certmaker)?,
        crl: super::crl::parse(&raw.crl)?,
        hardening: raw.hardening.without,
        health_socket: raw.health_socket.map(|path| base.join(path)),
        limits: limits(&raw.limits)?,
        listeners: listeners(raw.listeners, base)?,
        log: log(raw.log)?,
        notary: super::notary::parse(raw.notary),
        ocsp: super::ocsp::parse(&raw.ocsp)?,
        validation: validation::check(raw.validation, &public_url)?,
        public_url,
        rate_limits: super::rate_limits::parse(raw.rate_limits)?,
        signers: Signers {
            ca: base.join(raw.signers.ca),
            deadline: duration(raw.signers.deadline.as_ref(), "15s", SECOND..=HOUR)?,
            tls: base.join(raw.signers.tls),
        },
        upki: super::upki::parse(raw.upki, base.join(&raw.store.path))?,
        store: Store { engine: raw.store.engine, path: base.join(raw.store.path) },
        tls: Tls {
            chain: base.join(raw.tls.chain),
            key: label(raw.tls.key)?,
            oldest: oldest(raw.tls.versions.as_ref())?,
        },
        user: raw.user,
    })
}

fn ca(raw: raw::Ca, base: &Path) -> Result<Ca, Wrong> {
    let key = label(raw.key)?;
    if let Some(current) = raw.retiring.iter().find(|retiring| *retiring.get_ref() == key) {
        let problem = "the certificates of this key would be renewed over and over: issue with another key first";
        return wrong(current, problem);
    }
    Ok(Ca {
        alternate_chains: raw.alternate_chains.into_iter().map(|file| base.join(file)).collect(),
        issuer: base.join(raw.issuer),
        key,
        profiles: base.join(raw.profiles),
        retiring: raw.retiring.into_iter().map(label).collect::<Result<_, _>>()?,
        root: base.join(raw.root),
        root_crl: raw.root_crl.map(|path| base.join(path)),
    })
}

/// The label of a key in a token.
fn label(raw: Spanned<String>) -> Result<String, Wrong> {
    match raw.get_ref().is_empty() {
        true => wrong(&raw, "a key has a label: write the one that the ceremony gave it, such as \"issuing-1\""),
        false => Ok(raw.into_inner()),
    }
}

fn acme(mut raw: raw::Acme) -> Result<Acme, Wrong> {
    let orders = orders::parse(&mut raw)?;
    let default_profile = raw.default_profile.as_ref().map(Spanned::get_ref);
    let profiles = match raw.profiles {
        Some(profiles) if profiles.get_ref().is_empty() => {
            return wrong(&profiles, "an order needs a profile: write for example `profiles = [\"server\"]`");
        }
        Some(profiles) => profiles.into_inner(),
        None => vec![default_profile.cloned().unwrap_or_else(|| "server".to_owned())],
    };
    let default_profile = match raw.default_profile {
        Some(name) if !profiles.contains(name.get_ref()) => {
            return wrong(&name, format!("the default profile is not offered: write one of {}", list(&profiles)));
        }
        Some(name) => name.into_inner(),
        None => profiles[0].clone(),
    };
    for url in [&raw.terms_of_service, &raw.website].into_iter().flatten() {
        if !url.get_ref().parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some()) {
            return wrong(url, "this is not a URL: write for example \"https://ca.example.com/terms\"");
        }
    }
    Ok(Acme {
        accounts: accounts::check(
            raw.external_accounts,
            raw.nonces,
            raw.terms_of_service_changed,
            &raw.terms_of_service,
        )?,
        authorization_lifetime: duration(raw.authorization_lifetime.as_ref(), "30d", MINUTE..=YEAR)?,
        default_profile,
        order_lifetime: duration(raw.order_lifetime.as_ref(), "7d", MINUTE..=YEAR)?,
        orders,
        profiles,
        terms_of_service: raw.terms_of_service.map(Spanned::into_inner),
        website: raw.website.map(Spanned::into_inner),
    })
}

fn limits(raw: &raw::Limits) -> Result<Limits, Wrong> {
    Ok(Limits {
        body: number(raw.body.as_ref(), 64 << 10, 1 << 10..=16 << 20)?,
        connections: number(raw.connections.as_ref(), 1024, 1..=100_000)?,
        // The HTTP parser's buffer cannot be smaller than 8 KiB.
        header: number(raw.header.as_ref(), 16 << 10, 8 << 10..=1 << 20)?,
        header_timeout: duration(raw.header_timeout.as_ref(), "15s", MILLISECOND..=HOUR)?,
        request_timeout: duration(raw.request_timeout.as_ref(), "30s", MILLISECOND..=HOUR)?,
        write_timeout: duration(raw.write_timeout.as_ref(), "10s", MILLISECOND..=HOUR)?,
    })
}

fn listeners(raw: Vec<Spanned<raw::Listener>>, base: &Path) -> Result<Vec<Listener>, Wrong> {
    let mut listeners: Vec<Listener> = Vec::new();
    for entry in raw {
        let at = entry.span();
        let checked = listener(entry, base)?;
        if listeners.iter().any(|other| other.address == checked.address) {
            let problem = format!("two listeners have the address {}: give one of them another", checked.address);
            return Err(Wrong { at, problem });
        }
        listeners.push(checked);
    }
    if listeners.is_empty() {
        let problem = "the daemon listens nowhere: add a [[listener]] with an address and surfaces".to_owned();
        return Err(Wrong { at: 0..0, problem });
    }
    Ok(listeners)
}

fn listener(entry: Spanned<raw::Listener>, base: &Path) -> Result<Listener, Wrong> {
    let at = entry.span();
    let raw = entry.into_inner();
    let address = match (&raw.address, raw.path, raw.socket) {
        (Some(address), None, None) => match address.get_ref().parse() {
            Ok(parsed) => Address::Ip(parsed),
            Err(_) => {
                return wrong(address, "this is not an IP address and a port: write for example \"0.0.0.0:443\"");
            }
        },
        (None, Some(path), None) => Address::Unix(base.join(path.into_inner())),
        (None, None, Some(socket)) => Address::Passed(socket.into_inner()),
        (Some(_), Some(path), _) => return wrong(&path, "a listener has an address or a path: remove one of them"),
        (_, _, Some(socket)) => {
            return wrong(&socket, "what systemd passes has its address already: remove `address` or `path`, or this");
        }
        (None, None, None) => {
            let problem = "a listener needs a place: write `address = \"IP:PORT\"`, or `path` for a unix socket";
            return Err(Wrong { at, problem: problem.to_owned() });
        }
    };
    let transport = if raw.tls { Transport::Tls } else { Transport::Plain };
    let mut surfaces: Vec<Surface> = Vec::new();
    for surface in raw.surfaces.get_ref() {
        surface_fits(surface, &surfaces, transport)?;
        surfaces.push(*surface.get_ref());
    }
    if surfaces.is_empty() {
        return wrong(&raw.surfaces, "the listener carries nothing: name at least one of \"acme\", \"admin\", \"pki\"");
    }
    let client_certificates = match (raw.client_certificates, transport) {
        (Some(asked), Transport::Plain) if *asked.get_ref() != ClientCertificates::None => {
            return wrong(&asked, "client certificates need TLS: write `tls = true`, or leave this out");
        }
        (Some(asked), _) => asked.into_inner(),
        (None, _) => ClientCertificates::None,
    };
    let by_certificate = surfaces.iter().find(|surface| matches!(surface, Surface::Admin | Surface::Upki));
    if let Some(surface) = by_certificate.filter(|_| client_certificates == ClientCertificates::None) {
        let problem = format!(
            "administrators are known by their certificates: write `client_certificates = \"optional\"` or \
             \"required\", or remove \"{}\"",
            surface.name()
        );
        return wrong(&raw.surfaces, problem);
    }
    Ok(Listener { address, client_certificates, surfaces, transport })
}

/// Whether `surface` can join `others` on one listener.
fn surface_fits(surface: &Spanned<Surface>, others: &[Surface], transport: Transport) -> Result<(), Wrong> {
    let name = surface.get_ref().name();
    if transport == Transport::Plain && !matches!(surface.get_ref(), Surface::Health | Surface::Pki) {
        let problem =
            format!("plain HTTP carries \"pki\" and \"health\" only: write `tls = true`, or remove \"{name}\"");
        return wrong(surface, problem);
    }
    for other in others {
        if let Some(path) = shared_path(surface.get_ref().paths(), other.paths()) {
            let problem = match other == surface.get_ref() {
                true => format!("\"{name}\" is named twice: remove one"),
                false => {
                    let other = other.name();
                    format!("\"{name}\" and \"{other}\" both claim {path}: give each a listener of its own")
                }
            };
            return wrong(surface, problem);
        }
    }
    Ok(())
}

/// A path that both lists claim: the same, or one below the other.
pub(super) fn shared_path<'a>(left: &[&'a str], right: &[&'a str]) -> Option<&'a str> {
    let below =
        |path: &str, root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    left.iter().find_map(|left| {
        right.iter().find_map(|right| match () {
            () if below(left, right) => Some(*left),
            () if below(right, left) => Some(*right),
            () => None,
        })
    })
}

fn log(raw: Option<Spanned<String>>) -> Result<String, Wrong> {
    let Some(filter) = raw else { return Ok("info".to_owned()) };
    match filter.get_ref().parse::<tracing_subscriber::filter::EnvFilter>() {
        Ok(_) => Ok(filter.into_inner()),
        Err(_) => {
            wrong(&filter, "this is not a log filter: write for example \"info\" or \"info,daemon::validation=debug\"")
        }
    }
}

fn public_url(raw: &Spanned<String>) -> Result<String, Wrong> {
    let text = raw.get_ref().strip_suffix('/').unwrap_or(raw.get_ref());
    let good = text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.path() == "/"
            && uri.query().is_none()
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
    });
    match good && !text.ends_with('/') {
        true => Ok(text.to_owned()),
        false => wrong(raw, "clients need an https URL without a path: write for example \"https://ca.example.com\""),
    }
}

fn oldest(raw: Option<&Spanned<Vec<String>>>) -> Result<TlsVersion, Wrong> {
    let Some(versions) = raw else { return Ok(TlsVersion::Tls13) };
    let mut named: Vec<&str> = versions.get_ref().iter().map(String::as_str).collect();
    named.sort_unstable();
    match named.as_slice() {
        ["1.3"] => Ok(TlsVersion::Tls13),
        ["1.2", "1.3"] => Ok(TlsVersion::Tls12),
        _ => wrong(versions, "write `versions = [\"1.3\"]`, or `versions = [\"1.2\", \"1.3\"]` for old clients"),
    }
}

/// The number at a field, or its default, within a range.
pub(super) fn number<T: TryFrom<u64>>(
    raw: Option<&Spanned<u64>>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<T, Wrong> {
    let at = raw.map_or(0..0, Spanned::span);
    let value = raw.map_or(default, |value| *value.get_ref());
    let problem = || format!("{value} is out of range: write a number from {} to {}", range.start(), range.end());
    let value = range.contains(&value).then_some(value).and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| Wrong { at, problem: problem() })
}

/// The time at a field, or its default, within a range.
pub(super) fn duration(
    raw: Option<&Spanned<String>>,
    default: &str,
    range: RangeInclusive<Duration>,
) -> Result<Duration, Wrong> {
    let at = raw.map_or(0..0, Spanned::span);
    let text = raw.map_or(default, |text| text.get_ref());
    match humantime::parse_duration(text) {
        Ok(time) if range.contains(&time) => Ok(time),
        Ok(_) => {
            let [least, most] = [range.start(), range.end()].map(|bound| humantime::format_duration(*bound));
            Err(Wrong { at, problem: format!("`{text}` is out of range: write a time from {least} to {most}") })
        }
        Err(_) => {
            Err(Wrong { at, problem: format!("`{text}` is not a time: write for example \"30s\", \"5m\" or \"7d\"") })
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const YEAR: Duration = Duration::from_secs(31_557_600);
