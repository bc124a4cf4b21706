//! Revocation: journalled before it takes effect, then recorded in the store, which learns of it
//! from the journal alone (J3). CRL and OCSP objects follow from the store.

mod branches;
mod desk;
mod fetch;
mod files;
mod import;
mod list;
mod named;
pub mod ocsp;
mod office;
mod publish;
mod root;
pub mod schedule;
mod serve;
mod tables;
#[cfg(test)]
mod tests;
mod watch;

pub use branches::{Branch, Branches};
pub use desk::{Desk, Parts};
pub use files::Files;
pub use import::{ImportError, Imports, Survey, import};
pub use named::{Named, Url};
pub use office::Office;
pub use publish::{List, PublishError, Publisher};
pub use root::{RootCrl, RootList};
pub use schedule::{Freshness, Last};
pub use serve::{Coding, Contents, Served};
pub use tables::{CrlRecord, Kind, list_key};
pub use watch::{BLIND, Seen, Watch};

use hsm::wire::{Act, Actor, MAX_SERIALS};
use policy::effects::UnixTime;
use policy::serial::Serial;

use crate::issuance::ca::{Ca, CaError, Done};
use crate::store::Store;
use crate::store::status::IMPORTED;
use crate::store::tables::{CERTIFICATES, Revocation};

/// What is done to certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// They are put on hold.
    Hold,
    /// Those on hold are good again.
    Release,
    /// They are revoked for good, whether they were on hold or not.
    Revoke {
        /// RFC 5280 section 5.3.1 code, not 6.
        reason: Option<u8>,
        /// Since when the key is suspected, if that is known.
        invalidity: Option<UnixTime>,
    },
}

impl Deed {
    /// Whether a certificate is already as this would make it.
    pub fn is_done(self, revoked: Option<&Revocation>) -> bool {
        let held = revoked.is_some_and(|revoked| revoked.reason == Some(HOLD));
        match self {
            Self::Hold => revoked.is_some(),
            Self::Release => !held,
            Self::Revoke { .. } => revoked.is_some() && !held,
        }
    }

    /// What a certificate is afterwards.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hold => "on hold",
            Self::Release => "not on hold",
            Self::Revoke { .. } => "revoked",
        }
    }

    fn act(self, serials: Vec<Serial>, at: UnixTime) -> Act {
        match self {
            Self::Hold => Act::Hold { serials, at },
            Self::Release => Act::Release { serials, at },
            Self::Revoke { reason, invalidity } => Act::Revoke { serials, reason, at, invalidity_date: invalidity },
        }
    }
}

/// certificateHold, RFC 5280 section 5.3.1.
pub const HOLD: u8 = 6;

/// Does a deed to certificates as of `at`, and says to how many it was new. When it returns, the
/// journal and the store have it. Those that are as they should be already stay as they are. Works
/// while sealed; [`CaError::Unknown`] for a serial never issued, before anything is done.
///
/// The cost depends on how many there are in `serials`, and on nothing else: an entry in the journal
/// for every thousand.
pub async fn act(
    ca: &Ca,
    store: &Store,
    serials: &[Serial],
    deed: Deed,
    at: UnixTime,
    actor: &Actor,
) -> Result<usize, CaError> {
    // One that was journalled a moment ago is known.
    ca.catch_up().await?;
    let mut due = Vec::new();
    for serial in serials {
        if !is_done(store, *serial, deed)? {
            due.push(*serial);
        }
    }
    due.sort_unstable();
    due.dedup();
    let mut new = 0;
    for some in due.chunks(MAX_SERIALS) {
        let done = || {
            let mut done = true;
            for serial in some {
                done &= is_done(store, *serial, deed)?;
            }
            Ok::<_, CaError>(done)
        };
        // Somebody else may have done it since.
        if ca.act_once(deed.act(some.to_vec(), at), actor.clone(), done).await? == Done::Now {
            new += some.len();
        }
    }
    Ok(new)
}

/// Revokes one certificate; see [`act`].
pub async fn revoke(
    ca: &Ca,
    store: &Store,
    serial: Serial,
    reason: Option<u8>,
    at: UnixTime,
    actor: Actor,
) -> Result<Done, CaError> {
    let deed = Deed::Revoke { reason, invalidity: None };
    Ok(match act(ca, store, &[serial], deed, at, &actor).await? {
        0 => Done::Before,
        _ => Done::Now,
    })
}

fn is_done(store: &Store, serial: Serial, deed: Deed) -> Result<bool, CaError> {
    if let Some(record) = store.get(&CERTIFICATES, serial.as_bytes())? {
        return Ok(deed.is_done(record.value.revoked.as_ref()));
    }
    match store.get(&IMPORTED, serial.as_bytes())? {
        Some(record) => Ok(deed.is_done(record.value.revoked.as_ref())),
        None => Err(CaError::Unknown("certificate")),
    }
}
