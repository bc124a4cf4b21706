//! When certificates expire: the CA's own, and how many others do soon.

use std::fmt::{self, Write};
use std::ops::Bound;

use policy::tbs::Certificate;

use super::head;
use crate::service::Services;
use crate::service::ca::ROOT;
use crate::store::tables::CERTIFICATES_BY_EXPIRY;

/// Days ahead that are looked at.
const AHEAD: [u64; 3] = [1, 7, 30];

/// Most certificates that are counted at a scrape: it must not cost more than it tells.
const MOST: usize = 10_000;

pub(super) fn render(services: &Services, text: &mut String) -> fmt::Result {
    let name = "signet_certificate_expiry_timestamp_seconds";
    head(text, name, "gauge", "When a certificate of the CA itself expires.")?;
    let expiry = |der: &[u8]| Some(Certificate::from_der(der).ok()?.validity().not_after().0);
    let issuer = services.issuer.now();
    for (certificate, der) in [("issuing", issuer.certificate()), (ROOT, &services.root)] {
        if let Some(at) = expiry(der) {
            writeln!(text, "{name}{{certificate=\"{certificate}\"}} {at}")?;
        }
    }
    if let Some(at) = services.tls_chain.now().first().and_then(|der| expiry(der)) {
        writeln!(text, "{name}{{certificate=\"tls\"}} {at}")?;
    }
    if let Some((_, not_after)) = services.revocation.responder.report().responder {
        writeln!(text, "{name}{{certificate=\"ocsp\"}} {}", not_after.0)?;
    }
    let name = "signet_certificates_expiring";
    head(
        text,
        name,
        "gauge",
        "Certificates that expire within so many days, 10000 at most; those that were replaced, too.",
    )?;
    let now = services.clock.now();
    let from = now.0.to_be_bytes();
    for days in AHEAD {
        let to = now.plus(days * 86_400).0.to_be_bytes();
        let range = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
        let count = services.store.scan(&CERTIFICATES_BY_EXPIRY, range, MOST, false).map_or(0, |rows| rows.len());
        writeln!(text, "{name}{{within_days=\"{days}\"}} {count}")?;
    }
    Ok(())
}
