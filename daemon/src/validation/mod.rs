//! Validation of control over names (RFC 8555 section 8). Everything is bounded: time, bytes,
//! addresses, redirects. No byte of an answer is interpreted.

pub mod http01;
mod resolver;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use policy::name::DnsName;
use serde::{Deserialize, Serialize};

use crate::config;
use resolver::Resolver;

/// Validates names over the network.
pub struct Validator {
    config: config::Validation,
    resolver: Resolver,
    tls: Arc<rustls::ClientConfig>,
}

/// Why a validation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which kind.
    pub kind: FailureKind,
    /// One sentence: which name, URL and address, what was found, what was expected.
    pub detail: String,
    /// Whether trying again can help.
    pub retry: Retry,
}

/// Kinds of failures of a validation, named as RFC 8555 section 6.7 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The server could not be connected to, or did not answer in time.
    Connection,
    /// The name has no address, or DNS failed.
    Dns,
    /// The answer is not the key authorization.
    IncorrectResponse,
    /// The answer must not be used: an address or redirect outside what is allowed, or a status
    /// other than 200.
    Unauthorized,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// The answer was definite.
    No,
    /// Something on the way did not work.
    Yes,
}

/// Longest detail of a failure, in characters.
const MAX_DETAIL: usize = 600;

impl Failure {
    fn new(kind: FailureKind, retry: Retry, detail: impl AsRef<str>) -> Self {
        Self { kind, retry, detail: detail.as_ref().chars().take(MAX_DETAIL).collect() }
    }
}

impl Validator {
    /// A validator with these limits. Reads the system's resolvers if none are configured.
    pub fn new(config: &config::Validation) -> Self {
        Self {
            config: config.clone(),
            resolver: Resolver::new(&config.resolvers, step(config.timeout)),
            tls: Arc::new(tls::unauthenticated()),
        }
    }

    /// Shows, or does not show, that who answers for `name` has put `expected` under `token`
    /// (RFC 8555 section 8.3). One attempt, within the configured time.
    pub async fn http01(&self, name: &DnsName, token: &str, expected: &str) -> Result<(), Failure> {
        http01::validate(self, name, token, expected).await
    }
}

/// Longest time for one lookup or one connection: several must fit into an attempt.
fn step(attempt: Duration) -> Duration {
    attempt / 3
}
