//! What was published, in the store.

use policy::effects::UnixTime;
use serde::{Deserialize, Serialize};

use super::schedule::Last;
use crate::store::Table;

/// The CRL of each list that is served. Key: [`list_key`].
pub(super) const CRLS: Table<CrlRecord> = Table::new("crls");

/// Every CRL that is kept. Key: [`list_key`], 0x00, its number (u64, big-endian).
pub(super) const CRL_HISTORY: Table<CrlRecord> = Table::new("crl_history");

/// How the token has been, so that it outlives a restart. Key: label of the issuing key.
pub(super) const TOKEN_OUTAGES: Table<u64> = Table::new("token_outages");

/// A CRL that was signed and journalled, and whose file is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlRecord {
    /// Its number.
    pub number: u64,
    /// Number of the complete CRL that it adds to, if it is a delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its nextUpdate.
    pub next_update: UnixTime,
    /// How many certificates it lists.
    pub entries: u64,
    /// Its length in octets.
    pub octets: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The file, in the directory of CRLs.
    pub file: String,
    /// The journal that the store followed when it was made.
    pub journal: String,
    /// How far: what that journal says after this position may not be in it.
    pub mark: u64,
}

impl CrlRecord {
    /// What the schedule needs of it.
    pub fn last(&self) -> Last {
        Last { this_update: self.this_update, next_update: self.next_update }
    }
}

/// Which of two CRLs of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A complete one for its scope.
    Complete,
    /// What changed since a complete one.
    Delta,
}

/// Key in [`CRLS`]: the issuer's label, 0x00, the scope as text; `-delta` behind it for a delta.
pub fn list_key(issuer: &str, scope: &str, kind: Kind) -> Vec<u8> {
    let delta = match kind {
        Kind::Complete => "",
        Kind::Delta => "-delta",
    };
    [issuer.as_bytes(), &[0], scope.as_bytes(), delta.as_bytes()].concat()
}
