//! Nonces of one daemon, without a write for each.
//!
//! A nonce is a counter and a MAC over it, so none needs to be remembered; what is remembered is
//! one bit for each of the last [`WINDOW`] counters: used or not. Older ones are refused.
//! An orderly stop exports key, counter and bits, and the next start takes them over; after a crash
//! they are gone, and with them every nonce (I21): a crash must not make a used nonce good again.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{NonceError, Nonces, Taking};

/// How many of the youngest nonces can be good. One bit each: 128 KiB.
const WINDOW: u64 = 1 << 20;

/// Makes nonces, and takes each back once.
pub struct Memory {
    secret: [u8; 32],
    key: Key,
    window: Mutex<Window>,
}

struct Window {
    /// The next counter.
    next: u64,
    /// One bit a counter, at `counter % WINDOW`: set once it is used.
    used: Vec<u64>,
}

/// A part of the state of an orderly stop; it holds the MAC key, so it is deleted when it is read.
#[derive(Serialize, Deserialize)]
pub struct Part {
    /// MAC key, base64.
    key: String,
    /// The next counter.
    next: u64,
    /// Some of the bits, base64.
    used: String,
}

/// Words of the bitmap in one [`Part`]: 32 KiB, so that a part fits a value of the store.
const PART_WORDS: usize = 4096;

impl Memory {
    /// No nonce has been made yet. `secret` is random.
    pub fn new(secret: [u8; 32]) -> Self {
        Self::with(secret, 0, vec![0; (WINDOW / 64) as usize])
    }

    fn with(secret: [u8; 32], next: u64, used: Vec<u64>) -> Self {
        Self { secret, key: Key::new(HMAC_SHA256, &secret), window: Mutex::new(Window { next, used }) }
    }

    /// A fresh nonce.
    fn draw(&self) -> String {
        let counter = {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            let counter = window.next;
            window.next += 1;
            let (word, bit) = place(counter);
            window.used[word] &= !bit;
            counter
        };
        let counter = counter.to_be_bytes();
        let tag = sign(&self.key, &counter);
        URL_SAFE_NO_PAD.encode([&counter, &tag.as_ref()[..24]].concat())
    }

    /// Takes a nonce back. Of any number of simultaneous uses of one nonce exactly one succeeds.
    fn take_now(&self, nonce: &str) -> Result<(), NonceError> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| NonceError::Malformed)?;
        let Ok(bytes) = <[u8; 32]>::try_from(bytes) else { return Err(NonceError::Stale) };
        let (counter, tag) = bytes.split_first_chunk::<8>().expect("32 octets hold 8");
        // 192 bits of the MAC are compared, in constant time.
        let expected = sign(&self.key, counter);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..24], tag)
            .map_err(|_| NonceError::Stale)?;
        let counter = u64::from_be_bytes(*counter);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if counter >= window.next || window.next - counter > WINDOW {
            return Err(NonceError::Stale);
        }
        let (word, bit) = place(counter);
        if window.used[word] & bit != 0 {
            return Err(NonceError::Stale);
        }
        window.used[word] |= bit;
        Ok(())
    }

    /// The state, in parts. Afterwards nothing is taken, and what is made will never be good: a
    /// request that is still served must not use a nonce that the next start takes for unused.
    fn export_now(&self) -> Vec<Part> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let next = std::mem::replace(&mut window.next, u64::MAX / 2);
        let part = |words: &[u64]| Part {
            key: STANDARD.encode(self.secret),
            next,
            used: STANDARD.encode(words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()),
        };
        window.used.chunks(PART_WORDS).map(part).collect()
    }

    /// Takes over the state of an orderly stop; `None` if it is incomplete or of another size.
    pub fn import(parts: &[Part]) -> Option<Self> {
        let first = parts.first()?;
        let mut used = Vec::with_capacity((WINDOW / 64) as usize);
        for part in parts {
            if part.key != first.key || part.next != first.next {
                return None;
            }
            let bytes = STANDARD.decode(&part.used).ok()?;
            used.extend(bytes.chunks_exact(8).filter_map(|word| Some(u64::from_be_bytes(word.try_into().ok()?))));
        }
        let secret = STANDARD.decode(&first.key).ok()?.try_into().ok()?;
        (used.len() as u64 == WINDOW / 64).then(|| Self::with(secret, first.next, used))
    }
}

impl Nonces for Memory {
    fn make(&self) -> Result<String, NonceError> {
        Ok(self.draw())
    }

    fn take<'a>(&'a self, nonce: &'a str) -> Taking<'a> {
        Box::pin(std::future::ready(self.take_now(nonce)))
    }

    fn export(&self) -> Vec<Part> {
        self.export_now()
    }
}

/// Word and bit of a counter.
fn place(counter: u64) -> (usize, u64) {
    let slot = counter % WINDOW;
    ((slot / 64) as usize, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn nonces() -> Memory {
        Memory::new([7; 32])
    }

    #[test]
    fn a_nonce_is_good_once() {
        let nonces = nonces();
        let nonce = nonces.draw();
        assert_eq!(nonces.take_now(&nonce), Ok(()));
        assert_eq!(nonces.take_now(&nonce), Err(NonceError::Stale));
    }

    #[test]
    fn a_million_nonces_differ_and_each_is_good_once() {
        let nonces = nonces();
        let made: Vec<String> = (0..1_000_000).map(|_| nonces.draw()).collect();
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
        for nonce in &made {
            assert_eq!(nonces.take_now(nonce), Ok(()));
        }
        for nonce in &made {
            assert_eq!(nonces.take_now(nonce), Err(NonceError::Stale));
        }
    }

    #[test]
    fn of_parallel_uses_exactly_one_wins() {
        let nonces = Arc::new(nonces());
        for _ in 0..200 {
            let nonce = nonces.draw();
            let wins = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        if nonces.take_now(&nonce).is_ok() {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(wins.into_inner(), 1);
        }
    }

    #[test]
    fn a_nonce_that_left_the_window_is_stale_and_memory_does_not_grow() {
        let nonces = nonces();
        let oldest = nonces.draw();
        let second = nonces.draw();
        for _ in 0..WINDOW - 1 {
            nonces.draw();
        }
        assert_eq!(nonces.take_now(&oldest), Err(NonceError::Stale));
        assert_eq!(nonces.take_now(&second), Ok(()));
        assert_eq!(nonces.window.lock().unwrap().used.len() as u64, WINDOW / 64);
    }

    #[test]
    fn what_is_not_base64url_is_malformed_and_what_is_not_ours_is_stale() {
        let nonces = nonces();
        let good = nonces.draw();
        for text in ["a b", "abc=", "ab+/", "ü", &format!("{good}=")] {
            assert_eq!(nonces.take_now(text), Err(NonceError::Malformed), "{text}");
        }
        let foreign = Memory::new([8; 32]).draw();
        for text in ["", "AAAA", &foreign, &good[4..]] {
            assert_eq!(nonces.take_now(text), Err(NonceError::Stale), "{text}");
        }
        assert_eq!(nonces.take_now(&good), Ok(()));
    }

    #[test]
    fn nonces_stay_good_over_an_orderly_restart_and_used_ones_stay_used() {
        let before = nonces();
        let (used, unused) = (before.draw(), before.draw());
        before.take_now(&used).unwrap();
        let parts: Vec<Part> = before
            .export_now()
            .iter()
            .map(|part| serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap())
            .collect();
        assert!(parts.iter().all(|part| serde_json::to_string(part).unwrap().len() < 64 * 1024));
        let after = Memory::import(&parts).unwrap();
        assert_eq!(after.take_now(&used), Err(NonceError::Stale));
        assert_eq!(after.take_now(&unused), Ok(()));
        assert_ne!(after.draw(), used);
        assert!(Memory::import(&parts[1..]).is_none());
        assert!(Memory::import(&[]).is_none());
    }

    #[test]
    fn after_the_export_no_nonce_is_taken_and_none_is_made_that_will_be_good() {
        let before = nonces();
        let unused = before.draw();
        let parts = before.export_now();
        assert_eq!(before.take_now(&unused), Err(NonceError::Stale));
        let late = before.draw();
        let after = Memory::import(&parts).unwrap();
        after.draw();
        assert_eq!(after.take_now(&late), Err(NonceError::Stale));
        assert_eq!(after.take_now(&unused), Ok(()));
    }

    #[test]
    fn after_a_crash_the_nonces_of_before_are_stale() {
        let nonce = Memory::new([1; 32]).draw();
        assert_eq!(Memory::new([2; 32]).take_now(&nonce), Err(NonceError::Stale));
    }
}
