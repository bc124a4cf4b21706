//! Certificate revocation lists (RFC 5280 section 5), written and read as a stream: a list of a
//! million entries is never in memory.
//!
//! [`Writer`] makes the TBSCertList, [`check`] reads it again with every lint, [`Envelope`] makes the
//! signed CRL of it, and [`verify`] reads that.

mod entry;
mod envelope;
mod lint;
mod raw_entry;
mod read;
mod reason;
mod scope;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Entry, Mark};
pub use envelope::Envelope;
pub use lint::check;
pub use read::{Facts, verify};
pub use reason::{Reason, ReasonError};
pub use scope::{Scope, ScopeError, Shard};
pub use write::{Writer, Written};

use std::io;

use crate::effects::UnixTime;
use crate::key::BadSignature;
use crate::lint::Finding;
use crate::tbs::Issuer;

/// What a CRL says beside its entries.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Who signs it.
    pub issuer: &'a Issuer,
    /// CRL number, RFC 5280 section 5.2.3: see [`number`].
    pub number: u64,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one will be there at the latest.
    pub next_update: UnixTime,
    /// Which certificates it speaks of.
    pub scope: Scope,
    /// For a delta CRL, the number of the complete one that it adds to (section 5.2.4).
    pub base: Option<u64>,
    /// The URLs by which certificates name this CRL, which a shard repeats (section 5.2.5): at least
    /// one for a shard, and none otherwise.
    pub urls: &'a [String],
    /// Where the delta CRL of a complete one is (section 5.2.6).
    pub freshest: Option<&'a str>,
}

/// Why a CRL is not made, or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// The bytes are not what RFC 5280 describes, or not what was asked for.
    #[error("the CRL is not usable: {0}")]
    Der(String),
    /// Reading or writing failed.
    #[error("the CRL cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A lint found something.
    #[error("the CRL would break {} rule(s), first: {}", .0.len(), .0.first().map(|finding| finding.to_string()).unwrap_or_default())]
    Lint(Vec<Finding>),
    /// The signature is not one over these bytes by the issuer.
    #[error("the CRL's signature is not the issuer's: ask the token again, and suspect it")]
    Signature(#[from] BadSignature),
}

/// The number of the CRL that follows one with `previous`, of the same issuer and scope: greater,
/// and at least the time, so that neither an old backup of the store nor one of the journal brings a
/// number back (I30).
pub fn number(previous: Option<u64>, this_update: UnixTime) -> u64 {
    previous.map_or(0, |previous| previous.saturating_add(1)).max(this_update.0)
}

/// Whether the entry of a certificate that ends with `not_after` is still listed, given when the
/// last CRL of the same scope was made: it leaves after one CRL that was made past its end (RFC 5280
/// section 3.3).
pub fn stays_listed(not_after: UnixTime, last: Option<UnixTime>) -> bool {
    last.is_none_or(|last| last <= not_after)
}

fn unusable(why: impl Into<String>) -> CrlError {
    CrlError::Der(why.into())
}
