//! Programs by strangers, run against a rig: ACME clients, and verifiers of what was issued.

mod apache;
mod certbot;
mod dehydrated;
mod instant;
mod judge;
mod lego;
mod node;
mod python;
mod servers;
mod uacme;

use std::path::PathBuf;
use std::process::Command;

use crate::rig::Rig;

pub use apache::Apache;
pub use certbot::Certbot;
pub use dehydrated::Dehydrated;
pub use instant::Instant;
pub use judge::{certtool_verify, is_revoked, judge, judge_ca, openssl_verify, pkilint, pkilint_exceptions, serial};
pub use lego::Lego;
pub use node::Node;
pub use python::PythonAcme;
pub use servers::{Ualpn, Web};
pub use uacme::Uacme;

/// Longest that one program may run, in seconds.
const TIMEOUT: &str = "120";
/// What a caller's shell may have set, and must not decide whom a client trusts.
const AMBIENT: [&str; 11] = [
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LEGO_CA_CERTIFICATES",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The file that the rig's DNS server reads, in `rig.env` and for hooks.
const ZONE: &str = "SIGNET_DNS_ZONE";

/// How a client shows that a name is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// dns-01, by a hook that writes into the rig's zone.
    Dns,
    /// http-01
    Http,
    /// tls-alpn-01
    TlsAlpn,
}

impl Proof {
    /// RFC 8555 section 9.7.8
    fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns-01",
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }
}

/// An external account: key identifier, and MAC key as clients take it (base64url).
#[derive(Clone)]
pub struct External {
    /// `kid`
    pub kid: String,
    /// MAC key, base64url without padding.
    pub hmac: String,
}

impl External {
    /// `signetctl acme eab create`
    pub fn create(rig: &Rig, arguments: &[&str]) -> Self {
        let arguments = [&["--json", "acme", "eab", "create"], arguments].concat();
        let created = rig.environment.signetctl(&arguments).expect("signetctl acme eab create");
        let created: serde_json::Value = serde_json::from_str(&created).expect("JSON");
        let text = |member: &str| created[member].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
        Self { kid: text("id"), hmac: text("mac_key") }
    }
}

/// What a program said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it ended with exit code 0.
    pub succeeded: bool,
    /// Standard output, then standard error.
    pub text: String,
}

impl Said {
    /// The text, if the program succeeded; a panic with it, if not.
    pub fn success(self) -> String {
        assert!(self.succeeded, "{}", self.text);
        self.text
    }

    /// The text, if the program failed; a panic with it, if not.
    pub fn failure(self) -> String {
        assert!(!self.succeeded, "{}", self.text);
        self.text
    }
}

/// Runs a program to its end; one that does not end is killed, and has failed.
pub fn run(command: &mut Command) -> Said {
    let mut limited = Command::new("timeout");
    limited.arg("--kill-after=5").arg(TIMEOUT).arg(command.get_program()).args(command.get_args());
    for name in AMBIENT {
        limited.env_remove(name);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let output = limited.output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said { succeeded: output.status.success(), text: format!("{name}: {}\n{text}", output.status) }
}

/// The hook that writes into the zone of the rig's DNS server, or whatever calls it, needs to know where that is.
fn tell_zone(rig: &Rig, command: &mut Command) {
    command.env(ZONE, rig.environment.get(ZONE));
}

/// A file below `interop`: a hook or a script that stands between a client and a test.
fn interop(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop").join(file)
}
