//! The configuration file of one signer: raw TOML in, a [`Config`] that cannot be wrong out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::confine::Calls;
use crate::wire::{Bounds, Purpose};

mod raw;
mod revocation;
#[cfg(test)]
mod tests;

/// Version of the file's format; the file says `version = 1`.
pub const FORMAT: u16 = 1;

/// One signer's configuration. Unknown fields, impossible values and conflicts are refused with
/// file, line and what to write instead.
///
/// ```toml
/// version = 1
/// name = "ca"
/// token = "pkcs11:token=signet-ca"
/// module = "/usr/lib/softhsm/libsofthsm2.so"
/// environment = { SOFTHSM2_CONF = "/etc/signet/softhsm-ca.conf" }
/// state = "/var/lib/signet-signer/ca"
/// profiles = "/etc/signet/profiles"
/// sessions = 8
/// deadline = "10s"
/// identity = "/run/signet/identity.sock"
/// # pin = "/run/credentials/…/pin"       unattended unseal
/// # module_arguments = "…"                for modules that take a reserved string
/// # module_writes = ["/var/lib/…/tokens"] what the module must be able to write
/// # user = "signet-signer"                to become when started as root
///
/// [revocation]                            # longest validity of what is signed about revocation
/// crl = "10d"
/// ocsp = "10d"
/// responder = "14d"                       # and the length of an OCSP responder's certificate
///
/// [hardening]
/// without = []                            # "landlock", "memory", "seccomp", "user": what this host need not give
/// system_calls = []                       # names of calls that the module needs beside the list
/// network = false                         # true for a token behind a network
///
/// [[listen]]
/// path = "/run/signet/ca.sock"
/// peer = "daemon"                         # daemon | signer
/// # uid = 990                             whose connections are accepted; default: the owner of this process
///
/// [[key]]
/// label = "issuing-1"
/// purpose = "issue"
/// certificate = "/etc/signet/ca/issuing-1.pem"
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The signer's name: `ca`, `tls`.
    pub name: String,
    /// Token URI (RFC 7512).
    pub token: String,
    /// PKCS#11 module.
    pub module: PathBuf,
    /// Reserved string for C_Initialize, for modules that take one.
    pub module_arguments: Option<String>,
    /// Environment set before the module is loaded.
    pub environment: BTreeMap<String, String>,
    /// Directory of the journal (`journal/`) and of the attempt counter.
    pub state: PathBuf,
    /// Directory of profile files, for signers with an `issue` key.
    pub profiles: Option<PathBuf>,
    /// Size of the session pool, the anchor session not counted.
    pub sessions: usize,
    /// Longest that one PKCS#11 call may take.
    pub deadline: Duration,
    /// Socket of the signer that holds the identity key.
    pub identity: Option<PathBuf>,
    /// File that holds the PIN, for a token that is always open.
    pub pin: Option<PathBuf>,
    /// Directories that the module must be able to write (SoftHSM's token directory).
    pub module_writes: Vec<PathBuf>,
    /// User to become when started as root.
    pub user: Option<String>,
    /// Sockets.
    pub listen: Vec<Listen>,
    /// Keys.
    pub keys: Vec<Key>,
    /// How far what is signed about revocation may reach.
    pub bounds: Bounds,
    /// What this host need not give, and what the module needs beside the rest.
    pub hardening: Calls,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub path: PathBuf,
    /// Who is on the other end, and so which requests are legal.
    pub peer: Peer,
    /// The only uid whose connections are accepted.
    pub uid: Option<u32>,
}

/// Who is on the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// `signetd`.
    Daemon,
    /// Another signer, that asks for identity statements.
    Signer,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// CKA_LABEL.
    pub label: String,
    /// What it may sign.
    pub purpose: Purpose,
    /// PEM file whose first certificate holds the key's public half.
    pub certificate: Option<PathBuf>,
}

/// A configuration file that cannot be used: file, line, and what to write instead.
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
    /// Reads and checks the file at `path`. Nothing that it names is opened.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_toml(&file, &text),
            Err(error) => Err(ConfigError { problem: format!("the file cannot be read: {error}"), line: 1, file }),
        }
    }

    /// Parses and checks `text`; `file` is used in messages.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ConfigError> {
        raw::parse(text).map_err(|fault| ConfigError {
            file: file.to_owned(),
            line: 1 + text.as_bytes().iter().take(fault.offset).filter(|byte| **byte == b'\n').count(),
            problem: fault.problem,
        })
    }
}
