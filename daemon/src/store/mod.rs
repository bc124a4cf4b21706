//! Ordered trees with atomic, durable commits, and typed tables on top.
//!
//! [`Engine`] is the small trait that SQLite and sled implement; [`Store`] is what the rest of the
//! daemon uses: typed reads at once, commits through one writer thread that groups them. A value is
//! an [`envelope`]: format octet, version counter, CRC-32, JSON.

mod change;
#[cfg(test)]
mod conformance;
pub mod envelope;
mod reindex;
mod sled;
mod sqlite;
pub mod status;
pub mod tables;
mod writer;

use std::fs::{DirBuilder, File};
use std::ops::Bound;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use change::{Change, Table, Versioned};
pub use writer::Store;

use sled::Sled;
use sqlite::Sqlite;

/// Longest key, in octets: a name of 253 octets, a separator, and ample room.
pub const MAX_KEY: usize = 1024;

/// Longest value, in octets of JSON. What is longer is a file, not a value.
pub const MAX_VALUE: usize = 64 * 1024;

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

impl Expect {
    /// Whether it holds of the envelope at the key. One whose head cannot be read has no version.
    pub fn holds(&self, current: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Version(version) => current.and_then(envelope::version) == Some(*version),
        }
    }
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

/// Writes that happen all or not at all. Each one, its precondition included, sees those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Write>);

impl Batch {
    /// Whether every precondition holds, where `read` gives what a key held before the batch. An
    /// engine that asks this first never has to take back half a batch.
    pub fn check(
        &self,
        read: impl Fn(Tree, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Result<(), Conflict>, StoreError> {
        for (index, write) in self.0.iter().enumerate() {
            let Some(expect) = &write.expect else { continue };
            let before = self.0.iter().take(index).rfind(|before| before.tree == write.tree && before.key == write.key);
            let holds = match before {
                Some(before) => expect.holds(before.value.as_deref()),
                None => expect.holds(read(write.tree, &write.key)?.as_deref()),
            };
            if !holds {
                return Ok(Err(Conflict { tree: write.tree.0 }));
            }
        }
        Ok(Ok(()))
    }
}

/// Keys and whole envelopes, in key order.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// An embedded ordered key-value engine.
pub trait Engine: Send + Sync + 'static {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// The value at `key`. Reads, here and in [`scan`](Engine::scan), see nothing that is not
    /// durable yet: what is read may be released to a client (J2).
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

/// The engines, by their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// sled 0.34, held to real fsyncs.
    Sled,
    /// SQLite, the default.
    #[default]
    Sqlite,
}

/// Opens the store in `directory`, or makes one there; the directory too, if its parent exists.
/// Refused if the directory holds the store of another engine: an empty store beside a full one
/// would be taken for it.
pub fn open(engine: EngineKind, directory: &Path) -> Result<Box<dyn Engine>, StoreError> {
    let failed = |error: std::io::Error| StoreError::Engine(format!("{}: {error}", directory.display()));
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => sync_directory(directory.parent().unwrap_or(Path::new("/")))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let (kept, others) = match engine {
        EngineKind::Sled => (sled::DIRECTORY, sqlite::FILE),
        EngineKind::Sqlite => (sqlite::FILE, sled::DIRECTORY),
    };
    if directory.join(others).exists() && !directory.join(kept).exists() {
        let why = format!("{} holds the store of another engine, `{others}`: choose that engine", directory.display());
        return Err(StoreError::Engine(why));
    }
    match engine {
        EngineKind::Sled => Ok(Box::new(Sled::open(directory)?)),
        EngineKind::Sqlite => Ok(Box::new(Sqlite::open(directory)?)),
    }
}

/// Copies the store in `directory`, as it is at one moment, to the directory `to`, where [`open`] finds it. SQLite may be
/// open elsewhere; sled may not. Files that lie beside the engine's are the caller's.
pub fn snapshot(engine: EngineKind, directory: &Path, to: &Path) -> Result<(), StoreError> {
    match engine {
        EngineKind::Sled => sled::snapshot(directory, to),
        EngineKind::Sqlite => sqlite::snapshot(directory, to),
    }
}

/// Makes the names in a directory durable.
fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::Engine(format!("{}: {error}", directory.display())))
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
    /// A value does not have the checksum it was written with.
    #[error("the value at {key} in `{tree}` is damaged: restore the store from its backup, or from the journal")]
    Damaged {
        /// Which tree.
        tree: &'static str,
        /// Which key, readable.
        key: String,
    },
    /// The engine failed: disk full, I/O error, file gone.
    #[error("the store failed: {0}")]
    Engine(String),
    /// A key or a value that the store does not take, or that is not what this table holds: a bug.
    #[error("`{tree}` cannot hold this: {why}")]
    Invalid {
        /// Which tree.
        tree: &'static str,
        /// What is wrong with it.
        why: String,
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
    /// The engine failed; whether the change was made is not known until the store is opened again.
    #[error(transparent)]
    Store(#[from] StoreError),
}
