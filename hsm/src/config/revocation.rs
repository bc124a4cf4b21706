//! `[revocation]`: how far what is signed about revocation may reach.

use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::Spanned;

use super::raw::Fault;
use crate::wire::Bounds;

/// The section as it is written; each field may be absent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRevocation {
    crl: Option<Spanned<String>>,
    ocsp: Option<Spanned<String>>,
    responder: Option<Spanned<String>>,
}

impl RawRevocation {
    pub(super) fn judge(&self) -> Result<Bounds, Fault> {
        Ok(Bounds {
            crl: seconds("crl", self.crl.as_ref(), DEFAULT_CRL, CRL)?,
            ocsp: seconds("ocsp", self.ocsp.as_ref(), DEFAULT_OCSP, OCSP)?,
            responder: seconds("responder", self.responder.as_ref(), DEFAULT_RESPONDER, RESPONDER)?,
        })
    }
}

fn seconds(
    field: &str,
    text: Option<&Spanned<String>>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Fault> {
    let Some(text) = text else { return Ok(default) };
    let value = text.get_ref();
    match humantime::parse_duration(value) {
        Ok(duration) if duration.subsec_nanos() == 0 && range.contains(&duration.as_secs()) => Ok(duration.as_secs()),
        _ => Err(Fault {
            offset: text.span().start,
            problem: format!(
                "`{field} = {value:?}` is not a duration between {} and {}: write `{field} = \"{}\"`",
                in_words(*range.start()),
                in_words(*range.end()),
                in_words(default)
            ),
        }),
    }
}

fn in_words(seconds: u64) -> String {
    match seconds {
        days if days % DAY == 0 => format!("{}d", days / DAY),
        hours if hours % HOUR == 0 => format!("{}h", hours / HOUR),
        seconds => format!("{seconds}s"),
    }
}

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// BR 4.9.7: ten days for the CRL of a CA that issues to subscribers.
const DEFAULT_CRL: u64 = 10 * DAY;
const CRL: RangeInclusive<u64> = 60..=366 * DAY;

/// BR 4.9.10.
const DEFAULT_OCSP: u64 = 10 * DAY;
const OCSP: RangeInclusive<u64> = 60..=366 * DAY;

/// id-pkix-ocsp-nocheck makes it irrevocable, so it is short; longer than the answers it vouches for.
const DEFAULT_RESPONDER: u64 = 14 * DAY;
const RESPONDER: RangeInclusive<u64> = HOUR..=398 * DAY;
