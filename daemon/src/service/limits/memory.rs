//! The buckets that are in use, in bounded memory and constant time: two generations. When the
//! young one is full it becomes the old one, and what the old one held, which nobody asked for in
//! the meantime, is forgotten.

use std::collections::{HashMap, HashSet};
use std::mem;

use policy::effects::UnixTime;

use super::gcra::{Bucket, interval, micros};
use crate::config::Rate;

/// Buckets by their keys.
pub(super) struct Memory {
    young: HashMap<String, Entry>,
    old: HashMap<String, Entry>,
    /// What is to be written down.
    dirty: HashSet<String>,
    /// Buckets in one generation.
    size: usize,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    bucket: Bucket,
    unsaved: Unsaved,
}

/// What was taken since the bucket was written down last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsaved {
    /// Microseconds since 1970 at which this began.
    pub(super) since: u64,
    /// Microseconds' worth.
    pub(super) added: u64,
}

/// One bucket to take one from.
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) rate: Rate,
}

/// Which of the wanted buckets is empty, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Empty {
    pub(super) index: usize,
    pub(super) wait: std::time::Duration,
}

impl Memory {
    /// Holds at most twice `size` buckets.
    pub(super) fn new(size: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), dirty: HashSet::new(), size }
    }

    /// Whether a bucket is there.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Adds a bucket that was read, unless it came meanwhile.
    pub(super) fn learn(&mut self, key: &str, bucket: Bucket) {
        if !self.knows(key) {
            *self.entry(key) = Entry { bucket, unsaved: Unsaved::default() };
        }
    }

    /// The bucket, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Bucket> {
        self.young.get(key).or_else(|| self.old.get(key)).map(|entry| entry.bucket)
    }

    /// Takes one from each, or from none. Of several empty ones the one that is refilled last is
    /// named.
    pub(super) fn take(&mut self, wanted: &[Wanted], now: UnixTime) -> Result<(), Empty> {
        let mut taken = Vec::with_capacity(wanted.len());
        let mut empty: Option<Empty> = None;
        for (index, Wanted { key, rate }) in wanted.iter().enumerate() {
            match self.get(key).unwrap_or_default().take(*rate, now) {
                Ok(bucket) => taken.push(bucket),
                Err(wait) if empty.as_ref().is_none_or(|empty| empty.wait < wait) => {
                    empty = Some(Empty { index, wait });
                }
                Err(_) => {}
            }
        }
        if let Some(empty) = empty {
            return Err(empty);
        }
        for (Wanted { key, rate }, bucket) in wanted.iter().zip(taken) {
            let entry = self.entry(key);
            if entry.unsaved.added == 0 || entry.bucket.is_full(now) {
                entry.unsaved = Unsaved { since: micros(now), added: 0 };
            }
            entry.unsaved.added = entry.unsaved.added.saturating_add(interval(*rate));
            entry.bucket = bucket;
            if is_worth_writing(bucket, *rate, now) {
                self.dirty.insert(key.clone());
            }
        }
        Ok(())
    }

    /// What is to be written down, for the one who does it; [`saved`](Self::saved) or
    /// [`failed`](Self::failed) must follow.
    pub(super) fn take_unsaved(&mut self) -> Vec<(String, Unsaved)> {
        let dirty = mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|key| self.unsaved(&key).map(|unsaved| (key, unsaved))).collect()
    }

    /// Everything that was taken and is not written down, for an orderly stop.
    pub(super) fn take_all_unsaved(&mut self, now: UnixTime) -> Vec<(String, Unsaved)> {
        let missing = |(key, entry): (&String, &Entry)| (!entry.bucket.is_full(now)).then(|| key.clone());
        let keys: Vec<String> = self.young.iter().chain(&self.old).filter_map(missing).collect();
        self.dirty.extend(keys);
        self.take_unsaved()
    }

    /// A bucket was written down as `bucket`, in which others may have had a part.
    pub(super) fn saved(&mut self, key: &str, bucket: Bucket) {
        if let Some(entry) = self.existing(key) {
            let since_then = entry.unsaved.added;
            entry.bucket.full_at = entry.bucket.full_at.max(bucket.full_at.saturating_add(since_then));
        }
    }

    /// A bucket could not be written down: it will be tried again.
    pub(super) fn failed(&mut self, key: String, unsaved: Unsaved) {
        if let Some(entry) = self.existing(&key) {
            let added = entry.unsaved.added.saturating_add(unsaved.added);
            entry.unsaved = Unsaved { since: unsaved.since, added };
            self.dirty.insert(key);
        }
    }

    /// Forgets a bucket: it is full.
    pub(super) fn forget(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
        self.dirty.remove(key);
    }

    fn unsaved(&mut self, key: &str) -> Option<Unsaved> {
        let unsaved = mem::take(&mut self.existing(key)?.unsaved);
        (unsaved.added > 0).then_some(unsaved)
    }

    fn existing(&mut self, key: &str) -> Option<&mut Entry> {
        match self.young.get_mut(key) {
            Some(entry) => Some(entry),
            None => self.old.get_mut(key),
        }
    }

    /// The entry, in the young generation from now on.
    fn entry(&mut self, key: &str) -> &mut Entry {
        if !self.young.contains_key(key) {
            if self.young.len() >= self.size {
                self.old = mem::take(&mut self.young);
            }
            let entry = self.old.remove(key).unwrap_or_default();
            self.young.insert(key.to_owned(), entry);
        }
        self.young.get_mut(key).expect("it was there or was put there")
    }
}

/// Whether more than a quarter of the bucket is missing: what a crash may give back is less.
fn is_worth_writing(bucket: Bucket, rate: Rate, now: UnixTime) -> bool {
    bucket.left(rate, now) < rate.burst() - rate.burst() / 4
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn wanted(key: &str, rate: &str) -> Wanted {
        Wanted { key: key.to_owned(), rate: rate.parse().unwrap() }
    }

    #[test]
    fn one_is_taken_from_each_bucket_or_from_none() {
        let mut memory = Memory::new(10);
        let both = [wanted("a", "2 per 1h"), wanted("b", "3 per 1h")];
        assert_eq!(memory.take(&both, NOW), Ok(()));
        assert_eq!(memory.take(&both, NOW), Ok(()));
        let empty = memory.take(&both, NOW).unwrap_err();
        assert_eq!((empty.index, empty.wait.as_secs()), (0, 1800));
        assert_eq!(memory.get("b").unwrap().left(both[1].rate, NOW), 1);
        assert_eq!(memory.take(&both[1..], NOW), Ok(()));
        // Both are empty: the longer wait is told.
        assert_eq!(memory.take(&[wanted("b", "3 per 1h"), wanted("a", "2 per 1h")], NOW).unwrap_err().index, 1);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut memory = Memory::new(100);
        let rate = "1000 per 1m";
        for number in 0..100_000 {
            memory.take(&[wanted(&format!("address/{number}"), rate), wanted("all", rate)], NOW.plus(number)).unwrap();
            assert!(memory.young.len() <= 100 && memory.old.len() <= 100);
        }
        assert!(memory.knows("all") && memory.knows("address/99999") && !memory.knows("address/1"));
    }

    #[test]
    fn only_what_lacks_more_than_a_quarter_is_written_and_an_orderly_stop_writes_all() {
        let mut memory = Memory::new(10);
        let rate = "8 per 1h";
        memory.take(&[wanted("a", rate), wanted("b", rate)], NOW).unwrap();
        memory.take(&[wanted("a", rate)], NOW).unwrap();
        assert_eq!(memory.take_unsaved(), []);
        memory.take(&[wanted("a", rate)], NOW).unwrap();
        let unsaved = Unsaved { since: micros(NOW), added: 3 * 450_000_000 };
        assert_eq!(memory.take_unsaved(), [("a".to_owned(), unsaved)]);
        assert_eq!(memory.take_unsaved(), []);
        memory.failed("a".to_owned(), unsaved);
        let mut all = memory.take_all_unsaved(NOW);
        all.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(all, [("a".into(), unsaved), ("b".into(), Unsaved { added: 450_000_000, ..unsaved })]);
        assert_eq!(memory.take_all_unsaved(NOW), []);
    }

    /// Two processes that share a store, and what each does: 0 and 1 take, 2 and 3 write down.
    fn shared(steps: &[(u8, u64)], rate: Rate) -> (u64, u64) {
        let (mut store, mut taken) = (HashMap::<String, Bucket>::new(), 0);
        let mut memories = [Memory::new(10), Memory::new(10)];
        let mut now = NOW;
        let mut write = |memory: &mut Memory, now| {
            for (key, unsaved) in memory.take_all_unsaved(now) {
                let merged = store.get(&key).copied().unwrap_or_default().merged(unsaved.since, unsaved.added);
                store.insert(key.clone(), merged);
                memory.saved(&key, merged);
            }
        };
        for (what, pause) in steps {
            now = now.plus(*pause);
            match what {
                0 | 1 => {
                    let wanted = [Wanted { key: "k".to_owned(), rate }];
                    taken += u64::from(memories[usize::from(*what)].take(&wanted, now).is_ok());
                }
                _ => write(&mut memories[usize::from(*what - 2)], now),
            }
        }
        for memory in &mut memories {
            write(memory, now);
        }
        (taken, store.get("k").map_or(0, |bucket| bucket.full_at))
    }

    proptest! {
        #[test]
        fn nothing_that_two_processes_take_is_lost_in_the_shared_store(steps in prop::collection::vec((0..4u8, 0..1u64), 1..40)) {
            // Nothing is refilled meanwhile, so every one that was taken must be missing.
            let rate: Rate = "1000 per 1h".parse().unwrap();
            let (taken, full_at) = shared(&steps, rate);
            let expected = if taken == 0 { 0 } else { micros(NOW) + taken * interval(rate) };
            prop_assert_eq!(full_at, expected);
        }

        #[test]
        fn one_process_finds_in_the_store_what_it_had_in_memory(steps in prop::collection::vec((prop::sample::select(vec![0u8, 2]), 0..3000u64), 1..60)) {
            let rate: Rate = "5 per 1h".parse().unwrap();
            let (mut bucket, mut now) = (Bucket::default(), NOW);
            for (what, pause) in &steps {
                now = now.plus(*pause);
                if *what == 0 {
                    bucket = bucket.take(rate, now).unwrap_or(bucket);
                }
            }
            let (_, full_at) = shared(&steps, rate);
            prop_assert_eq!(Bucket { full_at }.left(rate, now), bucket.left(rate, now));
        }
    }
}
