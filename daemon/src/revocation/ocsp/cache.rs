//! Answers in memory, for a moment: what is read again from the store after half a second shows every
//! revocation in time, whoever made it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Answer;

/// Answers by the request that asks for them, as it came. Bounded: when the younger half is full, the
/// older one is dropped.
pub(super) struct Cache {
    parts: Vec<Mutex<Part>>,
    hasher: RandomState,
    /// Answers in one half of one part.
    half: usize,
}

#[derive(Default)]
struct Part {
    young: HashMap<Vec<u8>, Held>,
    old: HashMap<Vec<u8>, Held>,
}

struct Held {
    answer: Answer,
    until: Instant,
}

impl Cache {
    /// Room for about `most` answers.
    pub(super) fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, hasher: RandomState::new(), half: most / (2 * PARTS) }
    }

    /// The answer to `request`, if it was read a moment ago.
    pub(super) fn get(&self, request: &[u8]) -> Option<Answer> {
        let part = self.part(request).lock().unwrap_or_else(PoisonError::into_inner);
        let held = part.young.get(request).or_else(|| part.old.get(request))?;
        (Instant::now() < held.until).then(|| held.answer.clone())
    }

    /// Keeps an answer that was read, or signed, at `read`.
    pub(super) fn put(&self, request: &[u8], answer: &Answer, read: Instant) {
        if self.half == 0 || request.len() > LONGEST {
            return;
        }
        let mut part = self.part(request).lock().unwrap_or_else(PoisonError::into_inner);
        if part.young.len() >= self.half {
            part.old = std::mem::take(&mut part.young);
        }
        part.young.insert(request.to_vec(), Held { answer: answer.clone(), until: read + FRESH });
    }

    fn part(&self, request: &[u8]) -> &Mutex<Part> {
        let at = self.hasher.hash_one(request) as usize % self.parts.len();
        &self.parts[at]
    }
}

/// How long an answer is good without another look at the store.
const FRESH: Duration = Duration::from_millis(500);

/// Requests that are longer are read again each time: no ordinary client sends them.
const LONGEST: usize = 256;

/// Locks, so that threads seldom wait for each other.
const PARTS: usize = 16;
