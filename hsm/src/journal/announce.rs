//! What is durable in the journal is told to the log, too: who reads `journalctl` sees every act, under
//! the request id that both programs write.

use policy::serial::Serial;
use policy::tbs::Certificate;
use tracing::Level;

use super::{Event, writer::Draft};

/// Tells one durable entry. Names, keys and certificates stay in the journal.
pub(super) fn announce(draft: &Draft) {
    let Draft { event, actor, request_id } = draft;
    let kind = event.kind();
    if matches!(event, Event::Counted { .. } | Event::Numbers { .. } | Event::Ocsp { .. }) {
        return tracing::debug!(event = kind, actor, request_id, "journalled");
    }
    if !tracing::enabled!(Level::INFO) {
        return;
    }
    let account = match event {
        Event::AccountBound { account, .. } | Event::AccountEnded { account } => Some(account.as_str()),
        _ => actor.strip_prefix("acme:"),
    };
    tracing::info!(event = kind, serial = serials(event), account, actor, request_id, "journalled");
}

/// The serial numbers that an entry is about.
fn serials(event: &Event) -> Option<String> {
    match event {
        Event::Certificate { certificate, .. } => {
            let certificate = Certificate::from_der(certificate).ok()?;
            Some(Serial::from_slice(certificate.serial()).ok()?.to_string())
        }
        Event::Held { serials, .. } | Event::Released { serials, .. } | Event::Revoked { serials, .. } => {
            Some(serials.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}
