//! Ordered trees with atomic, durable commits, and typed tables on top.
//!
//! [`Engine`] is the small trait that SQLite and sled implement; [`Store`] is what the rest of the
//! daemon uses. A value is an envelope: format octet, version counter, CRC-32, JSON.

use std::marker::PhantomData;
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One ordered tree of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree(pub &'static str);

/// What must hold of a key at the moment of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent,
    /// The key's value carries this version.
    Version(u64),
}

/// A put (`Some`) or a delete (`None`), with the precondition that guards it, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// In which tree.
    pub tree: Tree,
    /// At which key.
    pub key: Vec<u8>,
    /// The whole envelope, or nothing to delete.
    pub value: Option<Vec<u8>>,
    /// What must hold.
    pub expect: Option<Expect>,
}

/// Writes that happen all or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Write>);

/// Keys and whole envelopes, in key order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// An embedded ordered key-value engine.
pub trait Engine: Send + Sync + 'static {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// The value at `key`.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows between the bounds, ascending; descending if `reverse`.
    fn scan(
        &self,
        tree: Tree,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        reverse: bool,
    ) -> Result<Rows, StoreError>;

    /// Applies each batch atomically, in order, and returns when all that were applied are durable:
    /// one fsync for the group. A batch whose precondition does not hold is a [`Conflict`] and
    /// changes nothing. Called from one thread only.
    fn apply(&self, group: &[Batch]) -> Result<Vec<Result<(), Conflict>>, StoreError>;
}

/// A precondition did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{tree}` was changed by somebody else at the same time")]
pub struct Conflict {
    /// The tree whose precondition did not hold.
    pub tree: &'static str,
}

/// Trouble with the store; never the client's fault.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine failed: disk full, I/O error, file gone.
    #[error("the store failed: {0}")]
    Engine(String),
    /// A value does not have the checksum it was written with.
    #[error("the value at {key} in `{tree}` is damaged: restore the store from its backup, or from the journal")]
    Damaged {
        /// Which tree.
        tree: &'static str,
        /// Which key, readable.
        key: String,
    },
    /// A value was written by a newer version of Signet.
    #[error("the store was written by a newer version (format {0}): install that version")]
    Newer(u8),
}

/// A commit was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

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

/// Changes to be committed together.
#[derive(Debug, Default)]
pub struct Change {
    batch: Batch,
}

impl Change {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value that must not be there yet.
    pub fn insert<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, value: &T) {
        let _ = (table, key, value);
        unimplemented!()
    }

    /// Replaces the value that was read as version `read`.
    pub fn update<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, read: u64, value: &T) {
        let _ = (table, key, read, value);
        unimplemented!()
    }

    /// Writes a value whatever is there. For records that are the same however often written.
    pub fn put<T: Serialize>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>, value: &T) {
        let _ = (table, key, value);
        unimplemented!()
    }

    /// Removes a value, if there.
    pub fn delete<T>(&mut self, table: &Table<T>, key: impl AsRef<[u8]>) {
        let _ = (table, key);
        unimplemented!()
    }
}

/// The store: reads at once, commits through one writer that groups them.
#[derive(Clone)]
pub struct Store {
    _private: (),
}

impl Store {
    /// Starts the writer thread over an engine.
    pub fn new(engine: Box<dyn Engine>) -> Self {
        let _ = engine;
        unimplemented!()
    }

    /// Reads one value.
    pub fn get<T: DeserializeOwned>(
        &self,
        table: &Table<T>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        let _ = (table, key);
        unimplemented!()
    }

    /// Reads at most `limit` values in key order; the last key returned is the cursor of the next page.
    #[expect(clippy::type_complexity, reason = "a row is a key and a value")]
    pub fn scan<T: DeserializeOwned>(
        &self,
        table: &Table<T>,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Versioned<T>)>, StoreError> {
        let _ = (table, range, limit, reverse);
        unimplemented!()
    }

    /// Commits and waits until it is durable.
    pub async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let _ = change.batch;
        unimplemented!()
    }
}
