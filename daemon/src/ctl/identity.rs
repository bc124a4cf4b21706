//! Who the administrator is, and which appliance is his: the profile file of his enrolment, and
//! the flags that override it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CtlError;

/// Flags of the command line.
pub(super) struct Flags {
    pub(super) profile: Option<PathBuf>,
    pub(super) url: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) identity: Option<String>,
}

/// The file as the ceremony writes it; every field but the version can come from a flag instead.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u16,
    url: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    identity: Option<String>,
}

/// Everything that is needed to talk to the appliance.
pub(super) struct Identity {
    /// Base URL.
    pub(super) url: http::Uri,
    /// PEM file of the root certificate.
    pub(super) ca: PathBuf,
    /// PEM file of the administrator's certificate and what leads to the root.
    pub(super) certificate: PathBuf,
    /// PEM file of his private key.
    pub(super) key: PathBuf,
    /// SHA-256 of the appliance identity's SubjectPublicKeyInfo, if it is known.
    pub(super) pinned: Option<[u8; 32]>,
}

impl Identity {
    /// Reads the profile file, if there is one, and lets the flags override it.
    pub(super) fn load(flags: Flags) -> Result<Self, CtlError> {
        let named = flags.profile.or_else(|| std::env::var_os("SIGNET_PROFILE").map(PathBuf::from));
        let path = named.clone().or_else(default_path);
        let file = match path.as_deref().map(read) {
            Some(Ok(file)) => file,
            // No file was asked for and none is there: the flags may say it all.
            Some(Err(Unread::Absent(_))) | None if named.is_none() => File::default(),
            Some(Err(Unread::Absent(why) | Unread::Wrong(why))) => return Err(CtlError::Failed(why)),
            None => File::default(),
        };
        let base = path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let place = path.map_or_else(|| "the profile".to_owned(), |path| path.display().to_string());
        let missing = |field: &str| {
            CtlError::Failed(format!(
                "`{field}` is neither in {place} nor on the command line: write --{field}, or name your profile with --profile"
            ))
        };
        let path_of = |flag: Option<PathBuf>, field: Option<PathBuf>, name: &str| {
            flag.or(field.map(|path| base.join(path))).ok_or_else(|| missing(name))
        };
        let url = flags.url.or(file.url).ok_or_else(|| missing("url"))?;
        let identity = flags.identity.or(file.identity);
        Ok(Self {
            url: parse_url(&url)?,
            ca: path_of(flags.ca, file.ca, "ca")?,
            certificate: path_of(flags.certificate, file.certificate, "certificate")?,
            key: path_of(flags.key, file.key, "key")?,
            pinned: identity.as_deref().map(parse_identity).transpose()?,
        })
    }
}

/// `$XDG_CONFIG_HOME/signet/profile.toml`, or below `~/.config`.
fn default_path() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = directory.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(directory.join("signet/profile.toml"))
}

enum Unread {
    Absent(String),
    Wrong(String),
}

fn read(path: &Path) -> Result<File, Unread> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Unread::Absent(format!("{name}: there is no such profile: copy your enrolment bundle there"))
        }
        _ => Unread::Wrong(format!("{name}: the profile cannot be read: {error}")),
    })?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        let line = 1 + before.matches('\n').count();
        Unread::Wrong(format!("{name}:{line}: {}", error.message().replace('\n', ", ")))
    })?;
    match file.version {
        FORMAT => Ok(file),
        _ => Err(Unread::Wrong(format!(
            "{name}: this program reads version {FORMAT} of profiles: install the version that wrote it"
        ))),
    }
}

fn parse_url(text: &str) -> Result<http::Uri, CtlError> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    uri.ok_or_else(|| CtlError::Failed(format!("`{text}` is not a URL: write for example https://ca.example.com:8443")))
}

fn parse_identity(text: &str) -> Result<[u8; 32], CtlError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    let good = digits.len() == 64
        && bytes.iter_mut().zip(digits.chunks_exact(2)).all(|(byte, pair)| {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => {
                    *byte = high << 4 | low;
                    true
                }
                _ => false,
            }
        });
    match good {
        true => Ok(bytes),
        false => {
            Err(CtlError::Failed("the identity is 64 hexadecimal digits, as the ceremony printed them".to_owned()))
        }
    }
}

/// Version of the profile file.
const FORMAT: u16 = 1;
