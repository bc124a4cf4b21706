//! Private keys that were made for somebody who fetches them with a second request: in memory only, given
//! out once, wiped soon.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::effects::UnixTime;
use policy::serial::Serial;

use super::issue::PrivateKey;

/// The keys, by the serial numbers of their certificates.
#[derive(Default)]
pub struct Deposits(Mutex<HashMap<Serial, Deposit>>);

struct Deposit {
    /// Whose, in the words of the journal.
    owner: String,
    /// Last second in which it is given out.
    until: UnixTime,
    key: PrivateKey,
}

/// There are as many keys as may wait; nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many private keys wait to be fetched: fetch those that were made, or try again in {} minutes", LIFETIME / 60)]
pub struct Full;

/// How long a key waits, in seconds.
pub const LIFETIME: u64 = 600;

/// Most keys that wait, of one owner and in all.
const MOST_EACH: usize = 20;
const MOST: usize = 1000;

impl Deposits {
    /// Whether there is room for a key of `owner`. Asked before the key is made.
    pub fn has_room(&self, owner: &str, now: UnixTime) -> Result<(), Full> {
        let mut all = self.all();
        all.retain(|_, deposit| now <= deposit.until);
        let own = all.values().filter(|deposit| deposit.owner == owner).count();
        if own < MOST_EACH && all.len() < MOST { Ok(()) } else { Err(Full) }
    }

    /// Keeps a key.
    pub fn put(&self, serial: Serial, owner: String, key: PrivateKey, now: UnixTime) {
        self.all().insert(serial, Deposit { owner, until: now.plus(LIFETIME), key });
    }

    /// Gives a key to its owner, this once.
    pub fn take(&self, serial: Serial, owner: &str, now: UnixTime) -> Option<PrivateKey> {
        let mut all = self.all();
        all.retain(|_, deposit| now <= deposit.until);
        let is_his = all.get(&serial).is_some_and(|deposit| deposit.owner == owner);
        if is_his { all.remove(&serial).map(|deposit| deposit.key) } else { None }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Serial, Deposit>> {
        // A panic in another thread leaves nothing half done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::issue::KeyKind;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn serial(number: u8) -> Serial {
        Serial::from_slice(&[number]).unwrap()
    }

    async fn key() -> PrivateKey {
        crate::service::issue::make_key(KeyKind::P256).await.unwrap().0
    }

    #[tokio::test]
    async fn a_key_is_given_to_its_owner_once_and_for_minutes_only() {
        let deposits = Deposits::default();
        deposits.put(serial(1), "token:a".into(), key().await, NOW);
        assert!(deposits.take(serial(1), "token:b", NOW).is_none());
        assert!(deposits.take(serial(2), "token:a", NOW).is_none());
        assert!(deposits.take(serial(1), "token:a", NOW.plus(LIFETIME)).is_some());
        assert!(deposits.take(serial(1), "token:a", NOW).is_none());
        deposits.put(serial(1), "token:a".into(), key().await, NOW);
        assert!(deposits.take(serial(1), "token:a", NOW.plus(LIFETIME + 1)).is_none());
    }

    #[tokio::test]
    async fn nobody_fills_the_room_for_ever() {
        let deposits = Deposits::default();
        for number in 1..=MOST_EACH as u8 {
            assert_eq!(deposits.has_room("token:a", NOW), Ok(()));
            deposits.put(serial(number), "token:a".into(), key().await, NOW);
        }
        assert_eq!(deposits.has_room("token:a", NOW), Err(Full));
        assert_eq!(deposits.has_room("token:b", NOW), Ok(()));
        assert_eq!(deposits.has_room("token:a", NOW.plus(LIFETIME + 1)), Ok(()));
    }
}
