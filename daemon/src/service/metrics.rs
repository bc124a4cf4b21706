//! What the daemon counts, in the text format of Prometheus (version 0.0.4).

mod expiry;
mod signers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Services;
use super::authorities::Standing;
use super::issue::IssueFailure;
use crate::histogram::{Histogram, MICROS};
use crate::issuance::IssueError;
use crate::validation::Counts;

/// Counters since the start of the process.
#[derive(Default)]
pub struct Metrics {
    /// What the ACME surface counts.
    pub acme: super::acme::counters::Counters,
    /// Issuances by surface, profile and outcome.
    issuances: Mutex<BTreeMap<(&'static str, String, Outcome), u64>>,
    /// How long a certificate took, by profile.
    issuing: Mutex<BTreeMap<String, Histogram>>,
    /// By surface and HTTP status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// How long the answer took, by surface.
    answering: Mutex<BTreeMap<&'static str, Histogram>>,
    /// What the validator counts.
    pub validations: Arc<Counts>,
}

impl Metrics {
    /// What one surface answered, under the names of the system whose dialect it speaks.
    pub(super) fn render_surface(&self, surface: &str, text: &mut String) -> std::fmt::Result {
        head(text, "http_requests_total", "counter", "Requests answered.")?;
        for ((_, status), count) in lock(&self.requests).iter().filter(|((of, _), _)| *of == surface) {
            writeln!(text, "http_requests_total{{code=\"{status}\"}} {count}")?;
        }
        let name = "http_request_duration_seconds";
        head(text, name, "histogram", "From a request's headers to its answer.")?;
        match lock(&self.answering).get(surface) {
            Some(times) => times.render(text, name, &format!("surface=\"{surface}\""), MICRO),
            None => Ok(()),
        }
    }

    /// An issuance came to an end after so long.
    pub fn issuance(&self, surface: &'static str, profile: &str, outcome: Outcome, took: Duration) {
        *lock(&self.issuances).entry((surface, profile.to_owned(), outcome)).or_default() += 1;
        if outcome == Outcome::Issued {
            lock(&self.issuing).entry(profile.to_owned()).or_insert_with(|| Histogram::new(MICROS)).note_time(took);
        }
    }

    /// A request was answered after so long.
    pub fn request(&self, surface: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((surface, status)).or_default() += 1;
        lock(&self.answering).entry(surface).or_insert_with(|| Histogram::new(MICROS)).note_time(took);
    }
}

/// What came of an issuance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Our own fault.
    Failed,
    /// There is a certificate.
    Issued,
    /// Policy said no, or what was sent cannot be used.
    Refused,
    /// Not now.
    Unavailable,
}

impl Outcome {
    /// What a failure is.
    pub(super) fn of(failure: &IssueFailure) -> Self {
        match failure {
            IssueFailure::Internal(_) => Self::Failed,
            IssueFailure::Sealed | IssueFailure::Unavailable(_) => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

impl<T> From<&Result<T, IssueFailure>> for Outcome {
    fn from(result: &Result<T, IssueFailure>) -> Self {
        match result {
            Ok(_) => Self::Issued,
            Err(failure) => Self::of(failure),
        }
    }
}

impl<T> From<&Result<T, IssueError>> for Outcome {
    fn from(result: &Result<T, IssueError>) -> Self {
        match result {
            Ok(_) => Self::Issued,
            Err(IssueError::Faulted(_) | IssueError::Store(_) | IssueError::Tbs(_)) => Self::Failed,
            Err(IssueError::Sealed | IssueError::Unavailable(_)) => Self::Unavailable,
            Err(_) => Self::Refused,
        }
    }
}

/// The media type of [`Services::render_metrics`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4";

impl Services {
    /// All counters and gauges as text.
    pub fn render_metrics(&self) -> String {
        let mut text = String::new();
        render(self, &mut text).expect("a String takes everything");
        text
    }
}

fn render(services: &Services, text: &mut String) -> std::fmt::Result {
    writeln!(text, "# HELP signet_http_requests_total Requests answered.")?;
    writeln!(text, "# TYPE signet_http_requests_total counter")?;
    for ((surface, status), count) in lock(&services.metrics.requests).iter() {
        writeln!(text, "signet_http_requests_total{{surface=\"{surface}\",status=\"{status}\"}} {count}")?;
    }
    head(text, "signet_http_request_duration_seconds", "histogram", "From a request's headers to its answer.")?;
    for (surface, times) in lock(&services.metrics.answering).iter() {
        times.render(text, "signet_http_request_duration_seconds", &format!("surface=\"{surface}\""), MICRO)?;
    }
    writeln!(text, "# HELP signet_certificates_issued_total Certificates issued since the start.")?;
    writeln!(text, "# TYPE signet_certificates_issued_total counter")?;
    let issuances = lock(&services.metrics.issuances).clone();
    let issued = issuances.iter().filter(|((_, _, outcome), _)| *outcome == Outcome::Issued);
    writeln!(text, "signet_certificates_issued_total {}", issued.map(|(_, count)| count).sum::<u64>())?;
    writeln!(text, "# HELP signet_issuances_total Issuances that came to an end.")?;
    writeln!(text, "# TYPE signet_issuances_total counter")?;
    for ((surface, profile, outcome), count) in issuances {
        let outcome = outcome.as_str();
        writeln!(
            text,
            "signet_issuances_total{{surface=\"{surface}\",profile=\"{profile}\",outcome=\"{outcome}\"}} {count}"
        )?;
    }
    head(
        text,
        "signet_issuance_duration_seconds",
        "histogram",
        "From the order's finalize to the recorded certificate.",
    )?;
    for (profile, times) in lock(&services.metrics.issuing).iter() {
        times.render(text, "signet_issuance_duration_seconds", &format!("profile=\"{profile}\""), MICRO)?;
    }
    services.metrics.acme.render(text)?;
    writeln!(text, "# HELP signet_validations_total Attempts to validate control of a name.")?;
    writeln!(text, "# TYPE signet_validations_total counter")?;
    for (method, outcome, count) in services.metrics.validations.attempts() {
        writeln!(text, "signet_validations_total{{method=\"{method}\",outcome=\"{outcome}\"}} {count}")?;
    }
    writeln!(text, "# HELP signet_caa_checks_total Checks of CAA records.")?;
    writeln!(text, "# TYPE signet_caa_checks_total counter")?;
    for (outcome, count) in services.metrics.validations.checks() {
        writeln!(text, "signet_caa_checks_total{{outcome=\"{outcome}\"}} {count}")?;
    }
    writeln!(text, "# HELP signet_seal_state Which state the CA's seal is in: 1 for that one.")?;
    writeln!(text, "# TYPE signet_seal_state gauge")?;
    let now = services.key_usable().map_or_else(|why| why.word(), |()| "unsealed");
    for state in ["faulted", "sealed", "unreachable", "unsealed"] {
        writeln!(text, "signet_seal_state{{state=\"{state}\"}} {}", u8::from(state == now))?;
    }
    writeln!(text, "# HELP signet_ca_active Whether the issuing CA went active.")?;
    writeln!(text, "# TYPE signet_ca_active gauge")?;
    let active = services.ca.is_active(&services.issuer_key).unwrap_or_default();
    writeln!(text, "signet_ca_active {}", u8::from(active))?;
    head(text, "signet_authorities", "gauge", "Issuing CAs that were made since the ceremony, by what they may do.")?;
    let authorities = crate::issuance::authorities::all(&services.store).unwrap_or_default();
    for standing in Standing::ALL {
        let count = authorities.iter().filter(|record| record.authority.standing == standing).count();
        writeln!(text, "signet_authorities{{standing=\"{}\"}} {count}", standing.as_str())?;
    }
    writeln!(text, "# HELP signet_signer_up Whether the token's signer answers.")?;
    writeln!(text, "# TYPE signet_signer_up gauge")?;
    for (signer, vital) in services.vitals.all() {
        writeln!(text, "signet_signer_up{{signer=\"{signer}\"}} {}", u8::from(vital.is_ok()))?;
    }
    signers::render(services, text)?;
    let commits = services.store.commits();
    head(text, "signet_store_batch_size", "histogram", "Changes that one durable commit of the store held.")?;
    commits.groups.render(text, "signet_store_batch_size", "", 1.0)?;
    head(text, "signet_store_commit_duration_seconds", "histogram", "How long a durable commit of the store took.")?;
    commits.times.render(text, "signet_store_commit_duration_seconds", "", MICRO)?;
    head(text, "signet_store_up", "gauge", "Whether the last commit of the store succeeded.")?;
    writeln!(text, "signet_store_up {}", u8::from(services.store.fault().is_none()))?;
    services.limits.render_metrics(text)?;
    expiry::render(services, text)?;
    render_revocation(services, text)
}

/// What stands before the series of a metric.
fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Nobody panics while holding one.
fn lock<T>(counters: &Mutex<T>) -> MutexGuard<'_, T> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds in a second.
const MICRO: f64 = 1e6;

fn render_revocation(services: &Services, text: &mut String) -> std::fmt::Result {
    let (desk, now) = (&services.revocation, services.clock.now());
    let seen = desk.watch.seen();
    writeln!(text, "# HELP signet_artefact_seconds_to_expiry Until nextUpdate of what relying parties fetch.")?;
    writeln!(text, "# TYPE signet_artefact_seconds_to_expiry gauge")?;
    for (what, seen) in &seen {
        if let Some(last) = seen.last {
            let left = i128::from(last.next_update.0) - i128::from(now.0);
            writeln!(text, "signet_artefact_seconds_to_expiry{{artefact=\"{what}\"}} {left}")?;
        }
    }
    writeln!(text, "# HELP signet_artefact_right Whether the watchdog found it right as it is served.")?;
    writeln!(text, "# TYPE signet_artefact_right gauge")?;
    for (what, seen) in &seen {
        writeln!(text, "signet_artefact_right{{artefact=\"{what}\"}} {}", u8::from(seen.fault.is_none()))?;
    }
    writeln!(text, "# HELP signet_artefact_trouble What cannot be renewed at the moment.")?;
    writeln!(text, "# TYPE signet_artefact_trouble gauge")?;
    for (what, _) in desk.troubles() {
        writeln!(text, "signet_artefact_trouble{{artefact=\"{what}\"}} 1")?;
    }
    let report = desk.responder.report();
    writeln!(text, "# HELP signet_ocsp_signed_ahead_total OCSP answers signed ahead since the start.")?;
    writeln!(text, "# TYPE signet_ocsp_signed_ahead_total counter")?;
    writeln!(text, "signet_ocsp_signed_ahead_total {}", report.signed)?;
    writeln!(
        text,
        "# HELP signet_ocsp_refused_total OCSP answers that could not be signed as they were, since the start."
    )?;
    writeln!(text, "# TYPE signet_ocsp_refused_total counter")?;
    writeln!(text, "signet_ocsp_refused_total {}", report.refused)?;
    writeln!(text, "# HELP signet_ocsp_aside OCSP answers that cannot be signed, and wait to be tried again.")?;
    writeln!(text, "# TYPE signet_ocsp_aside gauge")?;
    writeln!(text, "signet_ocsp_aside {}", report.aside.len())?;
    writeln!(text, "# HELP signet_ocsp_lag_seconds For how long the oldest OCSP answer has been due.")?;
    writeln!(text, "# TYPE signet_ocsp_lag_seconds gauge")?;
    writeln!(text, "signet_ocsp_lag_seconds {}", report.lag)?;
    writeln!(text, "# HELP signet_token_signatures_per_second What the token was seen to sign.")?;
    writeln!(text, "# TYPE signet_token_signatures_per_second gauge")?;
    writeln!(text, "signet_token_signatures_per_second {:.1}", report.per_second)?;
    writeln!(text, "# HELP signet_token_outage_seconds The longest outage of the token that is known.")?;
    writeln!(text, "# TYPE signet_token_outage_seconds gauge")?;
    writeln!(text, "signet_token_outage_seconds {}", desk.office.longest_outage())
}
