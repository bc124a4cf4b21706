//! Nonces of several daemons over one store.
//!
//! A nonce is its time, random bits and a MAC, whose key all of them share; its use is the insert of
//! a row, which the store lets happen once. A nonce is good for [`LIFETIME`]; rows of older ones are
//! deleted along with later uses. It stays good over a restart, orderly or not.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::effects::{EntropyError, UnixTime};

use super::super::eab::MacKey;
use super::super::error::AcmeError;
use super::{NonceError, Nonces, Part, Taking};
use crate::service::Services;
use crate::store::{Change, CommitError, StoreError, Table};

/// Nonces that were used. Key: time (5 octets, seconds, big-endian) and random bits of the nonce.
const USED: Table<()> = Table::new("acme_used_nonces");

/// The MAC key of all daemons over this store. Key: `key`.
const KEY: Table<MacKey> = Table::new("acme_nonce_key");

/// How long a nonce is good, in seconds: longer than a client's pause between two requests.
const LIFETIME: u64 = 1800;

/// By how many seconds the clocks of daemons that share a store may differ.
const SKEW: u64 = 60;

/// Every so many uses, rows of nonces that are good no longer are deleted: at most so many twice
/// over, so that there are never more rows than uses in a lifetime and a little.
const PRUNE: u64 = 128;

/// Octets of a nonce: time and random bits; then comes as much of the MAC.
const UNIQUE: usize = 16;

/// Makes nonces, and takes each back once, whichever daemon made it.
pub struct Stored {
    services: Arc<Services>,
    key: Key,
    taken: AtomicU64,
}

impl Stored {
    /// Takes the MAC key from the store; the first daemon makes it.
    pub async fn start(services: Arc<Services>) -> Result<Self, AcmeError> {
        let mut change = Change::new();
        change.insert(&KEY, "key", &MacKey::random(&services.random)?);
        match services.store.commit(change).await {
            Ok(()) | Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let key = services.store.get(&KEY, "key")?;
        let key = key.ok_or_else(|| AcmeError::Internal("the key of the nonces is gone".into()))?;
        let key = Key::new(HMAC_SHA256, key.value.expose());
        Ok(Self { services, key, taken: AtomicU64::new(0) })
    }

    fn tag(&self, unique: &[u8]) -> [u8; UNIQUE] {
        let mut tag = [0; UNIQUE];
        tag.copy_from_slice(&sign(&self.key, unique).as_ref()[..UNIQUE]);
        tag
    }

    async fn take_back(&self, nonce: &str) -> Result<(), NonceError> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| NonceError::Malformed)?;
        let Ok(bytes) = <[u8; 2 * UNIQUE]>::try_from(bytes) else { return Err(NonceError::Stale) };
        let (unique, tag) = bytes.split_at(UNIQUE);
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(unique), tag).map_err(|_| NonceError::Stale)?;
        let (made, now) = (read_time(unique), self.services.clock.now());
        if made > now.plus(SKEW) || now > made.plus(LIFETIME) {
            return Err(NonceError::Stale);
        }
        let mut change = Change::new();
        change.insert(&USED, unique, &());
        if self.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE) {
            self.prune(&mut change, now)?;
        }
        match self.services.store.commit(change).await {
            Ok(()) => Ok(()),
            Err(CommitError::Conflict(_)) => Err(NonceError::Stale),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Deletes rows of nonces that no daemon takes any more, whatever its clock.
    fn prune(&self, change: &mut Change, now: UnixTime) -> Result<(), NonceError> {
        let end = time(now.minus(LIFETIME + 2 * SKEW));
        let most = 2 * PRUNE as usize;
        for (key, _) in self.services.store.scan(&USED, (Bound::Unbounded, Bound::Excluded(&end)), most, false)? {
            change.delete(&USED, key);
        }
        Ok(())
    }
}

impl Nonces for Stored {
    fn make(&self) -> Result<String, NonceError> {
        let random: [u8; UNIQUE - 5] = self.services.random.bytes()?;
        let unique = [time(self.services.clock.now()).as_slice(), &random].concat();
        Ok(URL_SAFE_NO_PAD.encode([&unique, self.tag(&unique).as_slice()].concat()))
    }

    fn take<'a>(&'a self, nonce: &'a str) -> Taking<'a> {
        Box::pin(self.take_back(nonce))
    }

    fn export(&self) -> Vec<Part> {
        // The store has it all.
        Vec::new()
    }
}

/// Seconds in 5 octets, which last for 34,000 years.
fn time(at: UnixTime) -> [u8; 5] {
    let octets = at.0.to_be_bytes();
    [octets[3], octets[4], octets[5], octets[6], octets[7]]
}

fn read_time(unique: &[u8]) -> UnixTime {
    UnixTime(unique[..5].iter().fold(0, |time, octet| time << 8 | u64::from(*octet)))
}

impl From<StoreError> for NonceError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<EntropyError> for NonceError {
    fn from(error: EntropyError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// How many rows of used nonces there are.
#[cfg(test)]
pub(super) fn used(store: &crate::store::Store) -> usize {
    store.scan(&USED, (Bound::Unbounded, Bound::Unbounded), 100_000, false).unwrap().len()
}
