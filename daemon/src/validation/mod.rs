//! Validation of control over names (RFC 8555 section 8). Everything is bounded: time, bytes,
//! addresses, redirects. No byte of an answer is interpreted.

pub mod caa;
pub mod certmaker;
pub mod chain;
mod connect;
mod counts;
mod dns01;
pub mod dns_persist01;
mod failure;
pub mod http01;
pub mod issue_value;
mod resolver;
mod tls;
pub mod tls_alpn01;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::effects::UnixTime;
use policy::evidence::{CaaCheck, MAX_SEEN, Method, Observation};
use policy::name::{DnsName, Name};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::config;
use failure::printable;
use resolver::Resolver;

pub use counts::Counts;
pub use failure::{Failure, FailureKind, Retry};

/// Validates names over the network.
pub struct Validator {
    config: config::Validation,
    resolver: Resolver,
    /// For redirects of http-01 to https.
    tls: Arc<rustls::ClientConfig>,
    /// For tls-alpn-01.
    acme_tls: Arc<rustls::ClientConfig>,
    counts: Arc<Counts>,
}

/// Asks DNS for hosts that are not validated: those of the URLs in our own certificates.
pub struct Lookup(Resolver);

impl Lookup {
    /// Asks as validations ask. Reads the system's resolvers if none are configured.
    pub fn new(config: &config::Validation) -> Self {
        Self(Resolver::new(config, step(config.timeout)))
    }

    /// The addresses of a host, at least one.
    pub async fn addresses(&self, host: &DnsName) -> Result<Vec<IpAddr>, Failure> {
        self.0.addresses(host).await
    }
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

impl Validator {
    /// A validator with these limits. Reads the system's resolvers if none are configured.
    pub fn new(config: &config::Validation) -> Self {
        Self {
            config: config.clone(),
            resolver: Resolver::new(config, step(config.timeout)),
            tls: Arc::new(tls::unauthenticated()),
            acme_tls: Arc::new(tls::acme_tls()),
            counts: Arc::default(),
        }
    }

    /// The same validator, that counts what it does there.
    #[must_use]
    pub fn counting(self, counts: Arc<Counts>) -> Self {
        Self { counts, ..self }
    }

    /// Shows control of a name, or why it was not shown. One attempt, within the configured time.
    pub async fn validate(&self, attempt: &Attempt<'_>) -> Result<Shown, Failure> {
        self.within_time(attempt.name, attempt.method, || self.place(attempt), self.attempt(attempt)).await
    }

    /// Bounds, counts and logs an attempt, which looks at `place`.
    async fn within_time(
        &self,
        name: &Name,
        method: Method,
        place: impl Fn() -> String,
        attempt: impl Future<Output = Result<Shown, Failure>>,
    ) -> Result<Shown, Failure> {
        let outcome = match timeout(self.config.timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let kind = if method.is_dns() { FailureKind::Dns } else { FailureKind::Connection };
                let seconds = self.config.timeout.as_secs_f32();
                let detail = format!("{} was not answered within {seconds} seconds", place());
                Err(Failure::new(kind, Retry::Yes, detail))
            }
        };
        self.counts.validated(method, &outcome);
        let method = method.as_str();
        match &outcome {
            Ok(Shown { seen: Observation { address, dns }, validator, .. }) => {
                tracing::info!(%name, method, validator, address, dns, "control was shown");
            }
            Err(Failure { kind, detail, .. }) => {
                tracing::info!(%name, method, kind = kind.as_str(), detail, "control was not shown");
            }
        }
        outcome
    }

    /// Whether CAA allows this CA to issue (RFC 8659); what was found, or why not. The kind of a
    /// failure is [`FailureKind::Caa`]. Within the configured time.
    pub async fn caa(&self, question: &CaaQuestion<'_>) -> Result<CaaCheck, Failure> {
        let check = caa::check(&self.resolver, &self.config.caa_identities, question);
        let outcome = timeout(self.config.timeout, check).await.unwrap_or_else(|_| {
            let seconds = self.config.timeout.as_secs_f32();
            let detail = format!("the CAA records for {} could not be had within {seconds} seconds", question.name);
            Err(Failure::new(FailureKind::Caa, Retry::Yes, detail))
        });
        self.counts.checked(&outcome);
        match &outcome {
            Ok(check) => tracing::debug!(name = %question.name, found = check.found, "CAA allows"),
            Err(failure) => tracing::info!(name = %question.name, detail = failure.detail, "CAA does not allow"),
        }
        outcome
    }

    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Shown, Failure> {
        let Attempt { name, wildcard, method, token, key_authorization, account, .. } = *attempt;
        match (method, name) {
            (Method::Http01, name) if wildcard == Wildcard::No => {
                http01::validate(self, name, token, key_authorization).await
            }
            (Method::TlsAlpn01, name) if wildcard == Wildcard::No => {
                tls_alpn01::validate(self, name, key_authorization).await
            }
            (Method::Dns01, Name::Dns(name)) => {
                dns01::validate(self, dns01::DNS01, &dns01::record(name), key_authorization, "").await
            }
            (Method::DnsAccount01, Name::Dns(name)) => {
                let record = dns01::account_record(name, account);
                let whose = format!(" for the account {}", printable(account, 200));
                dns01::validate(self, dns01::DNS_ACCOUNT01, &record, key_authorization, &whose).await
            }
            (Method::DnsPersist01, Name::Dns(name)) => dns_persist01::validate(self, name, attempt).await,
            (method, name) => {
                let star = if wildcard == Wildcard::Yes { "*." } else { "" };
                let detail = format!("{} cannot show control of {star}{name}", method.as_str());
                Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail))
            }
        }
    }

    /// Where an attempt looks, for the sentence that says that it got no answer.
    fn place(&self, attempt: &Attempt<'_>) -> String {
        let name = attempt.name.to_string();
        match (attempt.method, attempt.name) {
            (Method::Http01, name) => http01::url(self, name, attempt.token),
            (Method::Dns01, Name::Dns(name)) => dns01::record(name),
            (Method::DnsAccount01, Name::Dns(name)) => dns01::account_record(name, attempt.account),
            (Method::DnsPersist01, _) => dns_persist01::record(&name),
            (method, _) => format!("{} of {name}", method.as_str()),
        }
    }
}

/// Longest time for one lookup or one connection: several must fit into an attempt.
fn step(attempt: Duration) -> Duration {
    attempt / 3
}

/// A text for an authorization's record: printable and short enough for it.
fn cut(text: &str) -> String {
    printable(text, MAX_SEEN)
}

#[cfg(test)]
mod tests;
