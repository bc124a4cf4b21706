//! The configuration file of `signetd`: raw TOML in, a [`Config`] that cannot be wrong out.

mod accounts;
mod certmaker;
mod crl;
mod networks;
mod notary;
mod ocsp;
mod orders;
mod parse;
mod rate_limits;
mod raw;
mod shown;
#[cfg(test)]
mod tests;
mod upki;
mod validation;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use hsm::confine::Waiver;

pub use accounts::{Accounts, ExternalAccounts, NonceKeeper, TermsChanged};
pub use certmaker::CertMaker;
pub use crl::Crl;
pub use networks::{AllowedNetworks, Network, NetworkError};
pub use notary::Notary;
pub use ocsp::{NeverIssued, Nonce, Ocsp};
pub use orders::Orders;
pub use parse::ConfigError;
pub use rate_limits::{Rate, RateError, RateLimits, Renewals};
pub use shown::InForce;
pub use upki::{Certify, Upki};
pub use validation::{Dnssec, Validation};

/// Version of the file's format; the file says `version = 1`.
pub const FORMAT: u16 = 1;

/// The whole configuration. Unknown fields, impossible values and conflicts were refused with
/// file, line and what to write instead; relative paths are relative to the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Config {
    /// `[acme]`
    pub acme: Acme,
    /// `[ca]`
    pub ca: Ca,
    /// `[certmaker]`
    pub certmaker: CertMaker,
    /// `[crl]`
    pub crl: Crl,
    /// What this host need not give.
    #[serde(serialize_with = "shown::names")]
    pub hardening: Vec<Waiver>,
    /// Unix socket on which health and metrics answer plain HTTP, if wanted.
    pub health_socket: Option<PathBuf>,
    /// `[limits]`
    pub limits: Limits,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<Listener>,
    /// Filter for log events, in the syntax of `tracing`'s directives.
    pub log: String,
    /// `[notary]`
    pub notary: Notary,
    /// `[ocsp]`
    pub ocsp: Ocsp,
    /// Base URL under which clients reach the daemon, without a slash at the end.
    pub public_url: String,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[signers]`
    pub signers: Signers,
    /// `[store]`
    pub store: Store,
    /// `[tls]`
    pub tls: Tls,
    /// `[upki]`
    pub upki: Upki,
    /// User to become when started as root.
    pub user: Option<String>,
    /// `[validation]`
    pub validation: Validation,
}

/// What the ACME surface offers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Acme {
    /// Who may have an account, and on which terms.
    pub accounts: Accounts,
    /// How long an authorization can be used to order, from its creation while pending and from
    /// its validation once valid.
    #[serde(serialize_with = "shown::time")]
    pub authorization_lifetime: Duration,
    /// The profile of an order that names none; one of `profiles`.
    pub default_profile: String,
    /// How long an order can be completed.
    #[serde(serialize_with = "shown::time")]
    pub order_lifetime: Duration,
    /// Orders and authorizations.
    pub orders: Orders,
    /// The profiles that an order may name, each a file of the profile directory.
    pub profiles: Vec<String>,
    /// URL of the terms of service; accounts must agree if there is one.
    pub terms_of_service: Option<String>,
    /// URL of a page about the CA.
    pub website: Option<String>,
}

/// The issuing CA.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ca {
    /// PEM files with other chains than the default one, the issuing certificate first in each.
    pub alternate_chains: Vec<PathBuf>,
    /// PEM file of the issuing certificate.
    pub issuer: PathBuf,
    /// Label of the issuing key in the CA signer.
    pub key: String,
    /// Directory of profile files (`NAME.toml`).
    pub profiles: PathBuf,
    /// Labels of issuing keys, not the one in use, whose certificates are to be replaced at once.
    pub retiring: Vec<String>,
    /// PEM file of the root certificate.
    pub root: PathBuf,
    /// The root's CRL, as the ceremony wrote it, if it is to be served.
    pub root_crl: Option<PathBuf>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is not.
    Off,
    /// It is.
    On,
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// What one client may cost.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Limits {
    /// Largest request body in bytes.
    pub body: usize,
    /// Most connections open at a time, on each listener.
    pub connections: usize,
    /// Largest request line and headers in bytes, together.
    pub header: usize,
    /// Longest time for a TLS handshake, and then for the headers of each request to arrive: so
    /// also how long a connection may be idle.
    #[serde(serialize_with = "shown::time")]
    pub header_timeout: Duration,
    /// Longest time from the headers to the beginning of the answer, body included.
    #[serde(serialize_with = "shown::time")]
    pub request_timeout: Duration,
    /// Longest time in which a client takes nothing of its answer.
    #[serde(serialize_with = "shown::time")]
    pub write_timeout: Duration,
}

/// One socket that `signetd` listens on, and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listener {
    /// Where.
    #[serde(serialize_with = "shown::text")]
    pub address: Address,
    /// Whether clients show a certificate; never asked without TLS.
    pub client_certificates: ClientCertificates,
    /// What it carries; no two of them claim one path.
    pub surfaces: Vec<Surface>,
    /// How bytes travel.
    pub transport: Transport,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port.
    Ip(SocketAddr),
    /// A socket that systemd passes under this name (`FileDescriptorName=`).
    Passed(String),
    /// Path of a unix socket.
    Unix(PathBuf),
}

/// Whether a listener asks clients for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Not asked for.
    None,
    /// Asked for, not demanded.
    Optional,
    /// A connection without one is refused in the handshake.
    Required,
}

/// How bytes travel on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain HTTP: public material and health only.
    Plain,
    /// TLS with the key in the token.
    Tls,
}

/// A family of paths with one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// `/directory` and `/acme/…`, RFC 8555; key authorizations where uPKI's forms are served.
    Acme,
    /// `/admin/v1/…` and `/metrics`.
    Admin,
    /// `/api/v1/…`, the CertMaker dialect.
    CertMaker,
    /// `/health…`
    Health,
    /// `/api/v1/…`, `/login` and `/status`, the Notary dialect.
    Notary,
    /// `/ca/…`, `/crl/…` and `/ocsp`: CA certificates and the status of certificates.
    Pki,
    /// `/api/v1/…`, the uPKI dialect.
    Upki,
}

impl Surface {
    /// Every surface.
    pub const ALL: [Self; 7] =
        [Self::Acme, Self::Admin, Self::CertMaker, Self::Health, Self::Notary, Self::Pki, Self::Upki];

    /// The paths it claims, each with everything below it.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Acme => &["/acme", "/directory", "/.well-known/acme-challenge"],
            Self::Admin => &["/admin/v1", "/metrics"],
            Self::Health => &["/health"],
            Self::Notary => &["/api/v1", "/login", "/logout", "/metrics", "/status"],
            Self::Pki => &["/ca", "/crl", "/ocsp"],
            Self::CertMaker | Self::Upki => &["/api/v1"],
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Admin => "admin",
            Self::CertMaker => "certmaker",
            Self::Health => "health",
            Self::Notary => "notary",
            Self::Pki => "pki",
            Self::Upki => "upki",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Passed(name) => write!(f, "the socket `{name}` of systemd"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The sockets of the signers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Signers {
    /// Socket of the signer of `signet-ca`.
    pub ca: PathBuf,
    /// Longest wait for one answer of a signer.
    #[serde(serialize_with = "shown::time")]
    pub deadline: Duration,
    /// Socket of the signer of `signet-tls`.
    pub tls: PathBuf,
}

/// Where the daemon keeps its records.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Store {
    /// Which engine.
    pub engine: StoreEngine,
    /// Its directory.
    pub path: PathBuf,
}

/// Engines of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreEngine {
    /// sled 0.34, held to real fsyncs.
    Sled,
    /// SQLite, the default.
    Sqlite,
}

/// The TLS server's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Tls {
    /// PEM file: the server certificate, then what leads to the root, root left out.
    pub chain: PathBuf,
    /// Label of the key in the TLS signer.
    pub key: String,
    /// Oldest version spoken.
    pub oldest: TlsVersion,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsVersion {
    /// RFC 5246
    Tls12,
    /// RFC 8446
    Tls13,
}
