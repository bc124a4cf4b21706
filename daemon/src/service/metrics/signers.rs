//! What the signers said of themselves when they were last asked.

use std::fmt::{self, Write};

use hsm::wire::{LATENCIES, Status};

use super::{MICRO, head};
use crate::histogram;
use crate::service::Services;
use crate::service::health::CA;
use crate::store::tables::JOURNALS;

/// Name, what it means, and where it is found.
type Gauge = (&'static str, &'static str, fn(&Status) -> u64);

pub(super) fn render(services: &Services, text: &mut String) -> fmt::Result {
    let vitals = services.vitals.all();
    let all: Vec<(&str, &Status)> =
        vitals.iter().filter_map(|(name, vital)| Some((*name, vital.as_ref().ok()?))).collect();
    let gauges: [Gauge; 5] = [
        ("signet_journal_entries", "Entries of the signer's journal.", |status| status.last),
        ("signet_journal_up", "Whether the signer's journal can be written.", |status| {
            u64::from(status.journal_fault.is_none())
        }),
        ("signet_token_sessions", "Sessions that sign at most at a time.", |status| status.sessions.into()),
        ("signet_token_sessions_busy", "Sessions that signed when the signer was asked.", |status| status.busy.into()),
        ("signet_token_requests_waiting", "Requests that waited for a session then.", |status| status.waiting.into()),
    ];
    for (name, help, value) in gauges {
        head(text, name, "gauge", help)?;
        for (signer, status) in &all {
            writeln!(text, "{name}{{signer=\"{signer}\"}} {}", value(status))?;
        }
    }
    head(text, "signet_wrong_pins", "gauge", "Wrong PINs that reached the token since the last right one.")?;
    for (signer, status) in &all {
        writeln!(text, "signet_wrong_pins{{signer=\"{signer}\"}} {}", status.wrong_pins)?;
    }
    head(text, "signet_hardening", "gauge", "Whether a measure of confinement is in force.")?;
    let ours = ("signetd", &services.hardening);
    for (process, measures) in [ours].into_iter().chain(all.iter().map(|(name, status)| (*name, &status.hardening))) {
        for measure in measures {
            let (name, in_force) = (&measure.name, u8::from(measure.in_force));
            writeln!(text, "signet_hardening{{process=\"{process}\",measure=\"{name}\"}} {in_force}")?;
        }
    }
    let operations = || all.iter().flat_map(|(signer, status)| status.operations.iter().map(move |one| (signer, one)));
    let labels = |signer: &str, key: &str, mechanism: &str| {
        let key = key.replace(['\\', '"', '\n'], "_");
        format!("signer=\"{signer}\",key=\"{key}\",mechanism=\"{mechanism}\"")
    };
    let name = "signet_token_operation_duration_seconds";
    head(text, name, "histogram", "How long a signature took, waiting for a session included.")?;
    for (signer, one) in operations() {
        let labels = labels(signer, &one.key, &one.mechanism);
        histogram::render(text, name, &labels, MICRO, (&LATENCIES, &one.buckets, one.micros))?;
    }
    head(text, "signet_token_operations_failed_total", "counter", "Signatures that the token did not make.")?;
    for (signer, one) in operations() {
        let labels = labels(signer, &one.key, &one.mechanism);
        writeln!(text, "signet_token_operations_failed_total{{{labels}}} {}", one.failed)?;
    }
    head(
        text,
        "signet_journal_lag_entries",
        "gauge",
        "Entries of the CA's journal that the store has not taken over.",
    )?;
    if let Some((_, status)) = all.iter().find(|(signer, _)| *signer == CA) {
        let position = services.store.get(&JOURNALS, status.journal.0.as_bytes()).ok().flatten();
        let taken = position.map_or(0, |row| row.value.seq);
        writeln!(text, "signet_journal_lag_entries {}", status.last.saturating_sub(taken))?;
    }
    Ok(())
}
