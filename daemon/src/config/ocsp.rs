//! `[ocsp]`: how long OCSP answers are good, and what is signed ahead of time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{DAY, MINUTE, Wrong, YEAR, duration, number};

/// How certificate status is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ocsp {
    /// For how long after a certificate's end its status is answered and dated (RFC 6960 section
    /// 4.4.4); without it an expired certificate is answered for as long as it is known, undated.
    #[serde(serialize_with = "super::shown::time_or_none")]
    pub archive_cutoff: Option<Duration>,
    /// How long after the last request an answer is signed again ahead of time.
    #[serde(serialize_with = "super::shown::time")]
    pub asked: Duration,
    /// Answers kept in memory.
    pub cache: usize,
    /// From thisUpdate to nextUpdate.
    #[serde(serialize_with = "super::shown::time")]
    pub lifetime: Duration,
    /// The part of the token's rate that signing ahead may take, in percent.
    pub load: u8,
    /// What is said of a serial number that was never issued.
    pub never_issued: NeverIssued,
    /// What becomes of a request with a nonce.
    pub nonce: Nonce,
}

/// What is said of a serial number that was never issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NeverIssued {
    /// `revoked`, in the way of RFC 6960 section 2.2: certificateHold since 1970.
    Revoked,
    /// `unknown`
    #[default]
    Unknown,
}

/// What becomes of a request with a nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Nonce {
    /// It is answered with a signature of its own; without a token, as if it had no nonce.
    #[default]
    Answer,
    /// It is answered as if it had no nonce.
    Ignore,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    archive_cutoff: Option<Spanned<String>>,
    asked: Option<Spanned<String>>,
    cache: Option<Spanned<u64>>,
    lifetime: Option<Spanned<String>>,
    load: Option<Spanned<u64>>,
    #[serde(default)]
    never_issued: NeverIssued,
    #[serde(default)]
    nonce: Nonce,
}

pub(super) fn parse(raw: &Raw) -> Result<Ocsp, Wrong> {
    let archive_cutoff = raw.archive_cutoff.as_ref().map(|at| duration(Some(at), "", DAY..=YEAR * 100)).transpose()?;
    Ok(Ocsp {
        archive_cutoff,
        asked: duration(raw.asked.as_ref(), "14d", MINUTE..=YEAR)?,
        cache: number(raw.cache.as_ref(), 20_000, 0..=10_000_000)?,
        lifetime: duration(raw.lifetime.as_ref(), "4d", MINUTE..=YEAR)?,
        load: number(raw.load.as_ref(), 50, 1..=100)?,
        never_issued: raw.never_issued,
        nonce: raw.nonce,
    })
}
