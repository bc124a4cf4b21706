//! Typed tables over trees, and the changes that are committed to them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;

use serde::Serialize;

use super::{Batch, Expect, MAX_KEY, MAX_VALUE, StoreError, Tree, Write, envelope};

/// A tree whose values are `T`.
pub struct Table<T> {
    /// The tree.
    pub tree: Tree,
    value: PhantomData<fn() -> T>,
}

impl<T> Table<T> {
    /// The table of that name.
    pub const fn new(name: &'static str) -> Self {
        Self { tree: Tree(name), value: PhantomData }
    }
}

/// A value as read, and the version that a later update must expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub version: u64,
}

/// Changes to be committed together. Each one sees those before it.
///
/// A key is 1 to [`MAX_KEY`] octets, a value at most [`MAX_VALUE`] octets of JSON. What breaks
/// that, or cannot be written as JSON, makes the commit fail with [`StoreError::Invalid`].
#[derive(Debug, Default)]
pub struct Change {
    batch: Batch,
    refused: Option<StoreError>,
}

impl Change {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.batch.0.is_empty() && self.refused.is_none()
    }

    /// Adds a value that must not be there yet; its version is 1.
    pub fn insert<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, value: &T) {
        self.write(table, key.as_ref(), 1, value, Some(Expect::Absent));
    }

    /// Replaces the value that was read as version `read`; the new one is version `read + 1`.
    pub fn update<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, read: u64, value: &T) {
        self.write(table, key.as_ref(), read.wrapping_add(1), value, Some(Expect::Version(read)));
    }

    /// Writes a value whatever is there. For records that are the same however often written.
    /// Its version is one that no other value of the key has had, so an update by somebody who read
    /// what was there before is a conflict.
    pub fn put<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, value: &T) {
        self.write(table, key.as_ref(), unused_version(), value, None);
    }

    /// Removes a value, if there.
    pub fn delete<T>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>) {
        self.push(table.tree, key.as_ref(), None, None);
    }

    /// Removes the value that was read as version `read`.
    pub fn remove<T>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, read: u64) {
        self.push(table.tree, key.as_ref(), None, Some(Expect::Version(read)));
    }

    /// Makes the commit fail: for a value from which no valid change can be made.
    pub(super) fn refuse<T>(&mut self, table: &Table<T>, why: impl Into<String>) {
        self.refused.get_or_insert(StoreError::Invalid { tree: table.tree.0, why: why.into() });
    }

    /// The writes, or why there are none.
    pub(super) fn into_batch(self) -> Result<Batch, StoreError> {
        self.refused.map_or(Ok(self.batch), Err)
    }

    fn write<T: Serialize>(&mut self, table: &Table<T>, key: &[u8], version: u64, value: &T, expect: Option<Expect>) {
        match serde_json::to_vec(value) {
            Ok(json) if json.len() <= MAX_VALUE => {
                self.push(table.tree, key, Some(envelope::encode(table.tree, key, version, &json)), expect);
            }
            Ok(json) => self.refuse(table, format!("a value of {} octets; at most {MAX_VALUE} fit", json.len())),
            Err(error) => self.refuse(table, format!("a value without a JSON form: {error}")),
        }
    }

    fn push(&mut self, tree: Tree, key: &[u8], value: Option<Vec<u8>>, expect: Option<Expect>) {
        if !(1..=MAX_KEY).contains(&key.len()) {
            let why = format!("a key of {} octets; 1 to {MAX_KEY} are possible", key.len());
            self.refused.get_or_insert(StoreError::Invalid { tree: tree.0, why });
            return;
        }
        self.batch.0.push(Write { tree, key: key.to_vec(), value, expect });
    }
}

/// A version that was not used before: 62 random bits, in the upper half of the range, where the
/// counters that begin at 1 never come, and with room for updates to count on from there.
///
/// It needs to be different, not secret, and no decision depends on it; the standard library's
/// hasher keys serve, and cannot fail.
fn unused_version() -> u64 {
    (1 << 63) | (RandomState::new().build_hasher().finish() >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Table<u64> = Table::new("numbers");

    #[test]
    fn a_change_with_an_empty_or_too_long_key_is_refused() {
        for key in [Vec::new(), vec![0; MAX_KEY + 1]] {
            let mut change = Change::new();
            change.put(&NUMBERS, &key, &1);
            assert!(matches!(change.into_batch(), Err(StoreError::Invalid { tree: "numbers", .. })));
        }
    }

    #[test]
    fn a_change_with_a_value_over_the_limit_is_refused() {
        const TEXTS: Table<String> = Table::new("texts");
        for (length, fits) in [(MAX_VALUE - 2, true), (MAX_VALUE - 1, false)] {
            let mut change = Change::new();
            change.put(&TEXTS, "k", &"x".repeat(length));
            assert_eq!(change.into_batch().is_ok(), fits);
        }
    }

    #[test]
    fn a_value_without_a_json_form_is_refused_and_nothing_of_its_change_remains() {
        const PAIRS: Table<std::collections::BTreeMap<Vec<u8>, u8>> = Table::new("pairs");
        let mut change = Change::new();
        change.put(&NUMBERS, "k", &1);
        change.put(&PAIRS, "k", &[(vec![1], 1)].into());
        assert!(matches!(change.into_batch(), Err(StoreError::Invalid { tree: "pairs", .. })));
    }
}
