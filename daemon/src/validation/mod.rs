//! Validation of control over names (RFC 8555 section 8). Everything is bounded: time, bytes,
//! addresses, redirects. No byte of an answer is interpreted.

pub mod http01;
mod resolver;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use policy::effects::UnixTime;
use policy::evidence::{CaaCheck, Method, Observation};
use policy::name::{DnsName, Name};
use serde::{Deserialize, Serialize};

use crate::config;
use resolver::Resolver;

/// Validates names over the network.
pub struct Validator {
    config: config::Validation,
    resolver: Resolver,
    tls: Arc<rustls::ClientConfig>,
}

/// What one attempt has to show (RFC 8555 section 8).
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The name, without the label `*` of a wildcard.
    pub name: &'a Name,
    /// Whether everything one label below the name is asked for.
    pub wildcard: Wildcard,
    /// How it is to be shown: one of the ACME challenges.
    pub method: Method,
    /// The challenge's token; empty for dns-persist-01, which has none.
    pub token: &'a str,
    /// Token, `.`, thumbprint of the account's key (RFC 8555 section 8.1).
    pub key_authorization: &'a str,
    /// URL of the account, as it was handed out.
    pub account: &'a str,
    /// The time of the attempt.
    pub now: UnixTime,
}

/// Whether an authorization is for the wildcard of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wildcard {
    /// For the name alone.
    No,
    /// For everything one label below the name.
    Yes,
}

/// Control was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Version of the validator (I2).
    pub validator: &'static str,
    /// What it saw.
    pub seen: Observation,
    /// Last second for which the proof is good, if what was found limits it (dns-persist-01).
    pub until: Option<UnixTime>,
}

/// May this CA issue for a name (RFC 8659 and 8657)?
#[derive(Clone, Copy, Debug)]
pub struct CaaQuestion<'a> {
    /// The name, without the label `*` of a wildcard.
    pub name: &'a DnsName,
    /// Whether it is for the wildcard: `issuewild` decides then.
    pub wildcard: Wildcard,
    /// How control was shown, for `validationmethods`.
    pub method: Method,
    /// URL of the account, for `accounturi`.
    pub account: &'a str,
    /// The time of the check.
    pub now: UnixTime,
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
    /// CAA records forbid it, or could not be had.
    Caa,
    /// The server could not be connected to, or did not answer in time.
    Connection,
    /// The name has no address, or DNS failed.
    Dns,
    /// The answer is not the key authorization.
    IncorrectResponse,
    /// A record of dns-persist-01 is not what the draft says.
    Malformed,
    /// The TLS handshake failed.
    Tls,
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

    /// Shows control of a name, or why it was not shown. One attempt, within the configured time.
    pub async fn validate(&self, attempt: &Attempt<'_>) -> Result<Shown, Failure> {
        match (attempt.method, attempt.name) {
            (Method::Http01, Name::Dns(name)) => {
                self.http01(name, attempt.token, attempt.key_authorization).await?;
                let seen = Observation { address: None, dns: None };
                Ok(Shown { validator: http01::VERSION, seen, until: None })
            }
            (method, name) => {
                let detail = format!("{} cannot show control of {name} here", method.as_str());
                Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail))
            }
        }
    }

    /// Whether CAA allows this CA to issue; what was found, or why not.
    pub async fn caa(&self, question: &CaaQuestion<'_>) -> Result<CaaCheck, Failure> {
        Ok(CaaCheck { at: question.now, found: "not checked".to_owned() })
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
