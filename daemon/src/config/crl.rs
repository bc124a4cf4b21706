//! `[crl]`: how often certificate revocation lists are signed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{DAY, MINUTE, SECOND, Wrong, YEAR, duration, number, wrong};

/// When CRLs are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Crl {
    /// How long after a revocation the next CRL is signed at the latest.
    #[serde(serialize_with = "super::shown::time")]
    pub after_revocation: Duration,
    /// How often a delta CRL is signed; none if there are none.
    #[serde(serialize_with = "super::shown::time_or_none")]
    pub delta_every: Option<Duration>,
    /// How often a complete one is signed if nothing is revoked.
    #[serde(serialize_with = "super::shown::time")]
    pub every: Duration,
    /// How many of each kind are kept, the one that is served included.
    pub history: usize,
    /// From thisUpdate to nextUpdate.
    #[serde(serialize_with = "super::shown::time")]
    pub lifetime: Duration,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    after_revocation: Option<Spanned<String>>,
    delta_every: Option<Spanned<String>>,
    every: Option<Spanned<String>>,
    history: Option<Spanned<u64>>,
    lifetime: Option<Spanned<String>>,
}

pub(super) fn parse(raw: &Raw) -> Result<Crl, Wrong> {
    let lifetime = duration(raw.lifetime.as_ref(), "7d", MINUTE..=YEAR)?;
    let every = duration(raw.every.as_ref(), "12h", SECOND..=YEAR)?;
    if every > lifetime / 2 {
        let problem = "a CRL must be replaced before half of its lifetime is over, so that the token may be away: \
                       write a shorter `every`, or a longer `lifetime`";
        return match (&raw.every, &raw.lifetime) {
            (Some(at), _) | (None, Some(at)) => wrong(at, problem),
            (None, None) => Err(Wrong::nowhere(problem)),
        };
    }
    let delta_every = match &raw.delta_every {
        None => None,
        Some(at) => {
            let delta = duration(Some(at), "", SECOND..=YEAR)?;
            if delta >= every {
                return wrong(at, "a delta CRL is signed more often than a complete one: write less than `every`");
            }
            Some(delta)
        }
    };
    Ok(Crl {
        after_revocation: duration(raw.after_revocation.as_ref(), "1m", SECOND..=DAY)?,
        delta_every,
        every,
        history: number(raw.history.as_ref(), 10, 1..=10_000)?,
        lifetime,
    })
}
