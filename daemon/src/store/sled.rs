//! The sled engine: one sled tree of `tree name, 0x00, key`, held to real fsyncs.
//!
//! sled 0.34 as it comes is not durable; what is done about it, and why, is in
//! `docs/adr/0002-store-engines-and-durability.md`:
//!
//! * `sync_file_range` is refused by a filter before sled opens, so that its flush is an fsync.
//! * The background flush is off; each group is flushed before its callers are answered.
//! * Files that sled creates and does not sync (`conf`, the names in its directories) are synced here.
//! * Segments are so large that no page ever becomes a "blob": a file that sled never syncs.
//! * What is written but not yet flushed is hidden from readers, who would else release it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::ops::Bound;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use hsm::confine::sync_file_range::refuse_sync_file_range;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sled::IVec;

use super::{Batch, Conflict, Engine, Rows, StoreError, Tree, sync_directory};

/// sled's directory in the store's directory.
pub(super) const DIRECTORY: &str = "sled";

/// The format of the store, at [`FORMAT_KEY`] in sled's default tree.
const FORMAT: u8 = 1;
const FORMAT_KEY: &[u8] = b"format";

/// Octets of a segment of sled's log. A page that is larger than a quarter of it becomes a blob; a
/// page has at most 16 rows before it is split and 20 while two are merged, each of at most
/// `MAX_KEY` + `MAX_VALUE`, which is 1.3 MiB.
const SEGMENT: usize = 8 << 20;

/// How long to wait for whoever closes the store.
const LOCK: Duration = Duration::from_secs(5);

/// Octets of pages that sled keeps in memory.
const CACHE: u64 = 32 << 20;

/// What places held: a value or none.
type Held = BTreeMap<Vec<u8>, Option<IVec>>;

/// A store in a sled database.
pub(super) struct Sled {
    database: sled::Db,
    rows: sled::Tree,
    /// What the keys that are being written held before: the durable truth while a flush runs.
    unflushed: RwLock<Held>,
    /// Why it stopped. After a failed flush sled's memory is ahead of the disk for good.
    broken: Mutex<Option<StoreError>>,
}

impl Sled {
    /// Opens the store in `directory`, which exists, or makes one there.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        refuse_sync_file_range().map_err(|error| {
            engine(format!("sled is not durable here, since sync_file_range cannot be refused ({error}); use sqlite"))
        })?;
        let path = directory.join(DIRECTORY);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(engine(error)),
            _ => sync_directory(directory)?,
        }
        wait_for_lock(&path.join("db"))?;
        let database = sled::Config::new()
            .path(&path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE)
            .segment_size(SEGMENT)
            .flush_every_ms(None)
            .open()
            .map_err(engine)?;
        let rows = database.open_tree("rows").map_err(engine)?;
        match database.get(FORMAT_KEY).map_err(engine)?.as_deref() {
            None => {
                database.insert(FORMAT_KEY, &[FORMAT]).map_err(engine)?;
            }
            Some([format @ 1..=FORMAT]) => debug_assert_eq!(*format, FORMAT),
            Some([newer, ..]) if *newer > FORMAT => return Err(StoreError::Newer(*newer)),
            Some(_) => return Err(engine(format!("{DIRECTORY} is not a store of Signet"))),
        }
        database.flush().map_err(engine)?;
        File::open(path.join("conf")).and_then(|conf| conf.sync_all()).map_err(engine)?;
        sync_directory(&path)?;
        Ok(Self { database, rows, unflushed: RwLock::default(), broken: Mutex::new(None) })
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// While it is held, no group begins to be written.
    fn durable(&self) -> Result<RwLockReadGuard<'_, Held>, StoreError> {
        self.usable()?;
        Ok(self.unflushed.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn hide(&self, held: Held) {
        *self.unflushed.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Puts the effects of a group into sled's log, all or none of them, and syncs it.
    fn write(&self, effects: BTreeMap<Vec<u8>, Option<&[u8]>>) -> Result<(), sled::Error> {
        let mut batch = sled::Batch::default();
        for (place, value) in effects {
            match value {
                Some(value) => batch.insert(place, value),
                None => batch.remove(place),
            }
        }
        self.rows.apply_batch(batch)?;
        self.database.flush()?;
        Ok(())
    }
}

impl Engine for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = place(tree, key);
        let unflushed = self.durable()?;
        let value = match unflushed.get(&place) {
            Some(held) => held.clone(),
            None => self.rows.get(&place).map_err(engine)?,
        };
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        tree: Tree,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        reverse: bool,
    ) -> Result<Rows, StoreError> {
        let Some(range) = places(tree, range) else { return Ok(Rows::new()) };
        let unflushed = self.durable()?;
        let written = self.rows.range(range.clone()).filter(|row| match row {
            Ok((place, _)) => !unflushed.contains_key(&**place),
            Err(_) => true,
        });
        let written: Result<Vec<(IVec, IVec)>, _> =
            if reverse { written.rev().take(limit).collect() } else { written.take(limit).collect() };
        // The first rows of the whole are among the first of what is flushed and all of what is held.
        let mut rows: BTreeMap<IVec, IVec> = written.map_err(engine)?.into_iter().collect();
        let held = unflushed.range(range);
        rows.extend(held.filter_map(|(place, value)| Some((IVec::from(place.as_slice()), value.clone()?))));
        let row = |(place, value): (IVec, IVec)| (place[tree.0.len() + 1..].to_vec(), value.to_vec());
        Ok(if reverse {
            rows.into_iter().rev().take(limit).map(row).collect()
        } else {
            rows.into_iter().take(limit).map(row).collect()
        })
    }

    fn apply(&self, group: &[Batch]) -> Result<Vec<Result<(), Conflict>>, StoreError> {
        self.usable()?;
        let mut effects: BTreeMap<Vec<u8>, Option<&[u8]>> = BTreeMap::new();
        let mut results = Vec::with_capacity(group.len());
        for batch in group {
            let result = batch.check(|tree, key| {
                let place = place(tree, key);
                match effects.get(&place) {
                    Some(value) => Ok(value.map(<[u8]>::to_vec)),
                    None => Ok(self.rows.get(&place).map_err(engine)?.map(|value| value.to_vec())),
                }
            })?;
            if result.is_ok() {
                effects.extend(batch.0.iter().map(|write| (place(write.tree, &write.key), write.value.as_deref())));
            }
            results.push(result);
        }
        let held: Result<_, sled::Error> =
            effects.keys().map(|place| Ok((place.clone(), self.rows.get(place)?))).collect();
        self.hide(held.map_err(engine)?);
        if let Err(error) = self.write(effects) {
            let error = engine(format!("{error}; restart the service to read what is durable"));
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            return Err(error);
        }
        self.hide(BTreeMap::new());
        Ok(results)
    }
}

/// Copies the files, which nobody may have open.
pub(super) fn snapshot(directory: &Path, to: &Path) -> Result<(), StoreError> {
    let (from, to) = (directory.join(DIRECTORY), to.join(DIRECTORY));
    wait_for_lock(&from.join("db")).map_err(|_| {
        engine("a store of sled cannot be copied while signetd runs: stop it, or choose the engine sqlite")
    })?;
    copy(&from, &to).map_err(engine)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if entry.is_dir() {
            copy(&entry, &to.join(name))?;
        } else {
            std::fs::copy(&entry, to.join(name))?;
        }
    }
    Ok(())
}

/// Waits until nobody holds the lock of the file, if it is there. sled takes it when it opens, does
/// not wait for it, and is still finishing its work in other threads when it was dropped.
fn wait_for_lock(file: &Path) -> Result<(), StoreError> {
    let deadline = Instant::now() + LOCK;
    loop {
        let file = match File::open(file) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(engine(error)),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_) => return Ok(()),
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Err((_, Errno::EWOULDBLOCK)) => return Err(engine("another process has it open; stop that process")),
            Err((_, errno)) => return Err(engine(errno)),
        }
    }
}

/// Where a key of a tree lies in sled's tree. No tree's name contains 0x00.
fn place(tree: Tree, key: &[u8]) -> Vec<u8> {
    [tree.0.as_bytes(), &[0], key].concat()
}

/// A range of places.
type Places = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The range of places that a range of keys is; nothing if it is empty.
fn places(tree: Tree, (from, to): (Bound<&[u8]>, Bound<&[u8]>)) -> Option<Places> {
    let from = match from {
        Bound::Unbounded => Bound::Included(place(tree, b"")),
        bound => bound.map(|key| place(tree, key)),
    };
    let to = match to {
        Bound::Unbounded => Bound::Excluded([tree.0.as_bytes(), &[1]].concat()),
        bound => bound.map(|key| place(tree, key)),
    };
    let empty = match (&from, &to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    };
    (!empty).then_some((from, to))
}

fn engine(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: Tree = Tree("t");

    #[test]
    fn a_database_of_a_newer_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sled::open(directory.path()).unwrap();
        store.database.insert(FORMAT_KEY, &[FORMAT + 1]).unwrap();
        drop(store);
        assert!(matches!(Sled::open(directory.path()), Err(StoreError::Newer(2))));
    }

    #[test]
    fn readers_see_nothing_that_is_not_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sled::open(directory.path()).unwrap();
        for (key, value) in [(b"changed", b"new"), (b"created", b"new"), (b"settled", b"old")] {
            store.rows.insert(place(TREE, key), value).unwrap();
        }
        let old = |key: &[u8], value: Option<&[u8]>| (place(TREE, key), value.map(IVec::from));
        store.hide([old(b"changed", Some(b"old")), old(b"created", None), old(b"deleted", Some(b"old"))].into());

        let row = |key: &[u8]| (key.to_vec(), b"old".to_vec());
        let durable = [row(b"changed"), row(b"deleted"), row(b"settled")];
        for (limit, reverse) in [(1, false), (2, false), (9, false), (1, true), (2, true), (9, true)] {
            let mut expected = durable.to_vec();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            assert_eq!(store.scan(TREE, (Bound::Unbounded, Bound::Unbounded), limit, reverse).unwrap(), expected);
        }
        assert_eq!(store.get(TREE, b"created").unwrap(), None);
        assert_eq!(store.get(TREE, b"changed").unwrap(), Some(b"old".to_vec()));
        assert_eq!(store.get(TREE, b"deleted").unwrap(), Some(b"old".to_vec()));
    }

    #[test]
    fn after_a_failed_flush_nothing_is_read_or_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sled::open(directory.path()).unwrap();
        *store.broken.lock().unwrap() = Some(engine("the disk is gone"));
        assert!(store.get(TREE, b"k").is_err());
        assert!(store.scan(TREE, (Bound::Unbounded, Bound::Unbounded), 1, false).is_err());
        assert!(store.apply(&[]).is_err());
    }

    #[test]
    fn the_largest_values_never_become_blobs() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sled::open(directory.path()).unwrap();
        let value = vec![7; super::super::MAX_VALUE];
        for number in 0..64u8 {
            let write = |key: u8, value| super::super::Write { tree: TREE, key: vec![key; 1000], value, expect: None };
            let batch = Batch(vec![write(number, Some(value.clone())), write(number / 2, None)]);
            store.apply(&[batch]).unwrap()[0].clone().unwrap();
        }
        let blobs = std::fs::read_dir(directory.path().join(DIRECTORY).join("blobs")).unwrap();
        assert_eq!(blobs.count(), 0);
    }
}
