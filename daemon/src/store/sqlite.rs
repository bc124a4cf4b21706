//! The SQLite engine: one table of trees, keys and values in one file with a write-ahead log.
//!
//! With `synchronous=FULL` in WAL mode a commit is one fsync of the log, and readers see it only
//! after that. One connection writes; reads take a connection of their own from a pool, so they
//! never wait for the writer. A checkpoint copies the log into the database after every
//! [`CHECKPOINT_PAGES`]; reads are short, so it always gets to the end and the log is reused.

use std::fs::OpenOptions;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, Transaction, TransactionBehavior, params};

use super::{Batch, Conflict, Engine, Rows, StoreError, Tree, sync_directory};

/// "SGNT": what `PRAGMA application_id` says of a store of ours.
const APPLICATION_ID: i32 = 0x5347_4e54;

/// The format of the file, in `PRAGMA user_version`.
const FORMAT: i32 = 1;

/// The file in the store's directory.
pub(super) const FILE: &str = "store.sqlite";

/// Log pages (4 KiB) between checkpoints. More would save some writes to the database; but after
/// a crash the whole log is read before the store opens.
const CHECKPOINT_PAGES: i32 = 2000;

/// A log that a burst made longer is cut to this many octets when it is next reused.
const LOG_OCTETS: i32 = 32 << 20;

/// How long a connection waits for another one's lock. Only recovery after a crash holds one.
const BUSY: Duration = Duration::from_secs(5);

/// A store in one SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Idle read connections; as many come to be as threads read at the same time.
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the store in `directory`, which exists, or makes one there.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        // SQLite would make the file by the umask; its log and index take the mode of the file.
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| engine(format!("{}: {error}", path.display())))?;
        sync_directory(directory)?;
        let mut writer = connect(&path)?;
        writer.pragma_update(None, "synchronous", "FULL").map_err(engine)?;
        writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(engine)?;
        writer.pragma_update(None, "journal_size_limit", LOG_OCTETS).map_err(engine)?;
        // 16 MiB, so that a full group stays in memory until it is committed.
        writer.pragma_update(None, "cache_size", -16384).map_err(engine)?;
        check_or_create(&mut writer)?;
        Ok(Self { path, writer: Mutex::new(writer), readers: Mutex::new(Vec::new()) })
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = lock(&self.readers).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => {
                let reader = connect(&self.path)?;
                reader.pragma_update(None, "query_only", true).map_err(engine)?;
                reader
            }
        };
        let answer = query(&reader).map_err(engine)?;
        lock(&self.readers).push(reader);
        Ok(answer)
    }
}

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|reader| get(reader, tree, key))
    }

    fn scan(
        &self,
        tree: Tree,
        (from, to): (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
        reverse: bool,
    ) -> Result<Rows, StoreError> {
        let mut sql = "SELECT key, value FROM kv WHERE tree = ?".to_owned();
        let mut values: Vec<&dyn ToSql> = vec![&tree.0];
        for (bound, included, excluded) in
            [(&from, " AND key >= ?", " AND key > ?"), (&to, " AND key <= ?", " AND key < ?")]
        {
            match bound {
                Bound::Included(key) => (sql.push_str(included), values.push(key)),
                Bound::Excluded(key) => (sql.push_str(excluded), values.push(key)),
                Bound::Unbounded => continue,
            };
        }
        sql.push_str(if reverse { " ORDER BY key DESC LIMIT ?" } else { " ORDER BY key LIMIT ?" });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        values.push(&limit);
        self.read(|reader| {
            let mut statement = reader.prepare_cached(&sql)?;
            let rows = statement.query_map(values.as_slice(), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn apply(&self, group: &[Batch]) -> Result<Vec<Result<(), Conflict>>, StoreError> {
        let mut writer = lock(&self.writer);
        // Dropped without a commit, it is rolled back: an error leaves nothing of the group.
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(engine)?;
        let results = group.iter().map(|batch| apply(&transaction, batch)).collect::<Result<_, _>>()?;
        transaction.commit().map_err(engine)?;
        Ok(results)
    }
}

/// Copies what readers see now; the writer goes on meanwhile.
pub(super) fn snapshot(directory: &Path, to: &Path) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    let connection = connect(&path).map_err(|error| engine(format!("{}: {error}", path.display())))?;
    let to = to.join(FILE);
    connection.execute("VACUUM INTO ?", [to.display().to_string()]).map_err(engine)?;
    std::fs::File::open(&to).and_then(|file| file.sync_all()).map_err(engine)
}

fn get(connection: &Connection, tree: Tree, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM kv WHERE tree = ? AND key = ?")?;
    statement.query_row(params![tree.0, key], |row| row.get(0)).optional()
}

fn apply(transaction: &Transaction<'_>, batch: &Batch) -> Result<Result<(), Conflict>, StoreError> {
    if let Err(conflict) = batch.check(|tree, key| get(transaction, tree, key).map_err(engine))? {
        return Ok(Err(conflict));
    }
    for write in &batch.0 {
        match &write.value {
            Some(value) => transaction
                .prepare_cached(
                    "INSERT INTO kv (tree, key, value) VALUES (?, ?, ?)
                     ON CONFLICT (tree, key) DO UPDATE SET value = excluded.value",
                )
                .and_then(|mut put| put.execute(params![write.tree.0, write.key, value])),
            None => transaction
                .prepare_cached("DELETE FROM kv WHERE tree = ? AND key = ?")
                .and_then(|mut delete| delete.execute(params![write.tree.0, write.key])),
        }
        .map_err(engine)?;
    }
    Ok(Ok(()))
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // One thread uses a connection at a time, so SQLite's own mutexes are not needed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(engine)?;
    connection.busy_timeout(BUSY).map_err(engine)?;
    // Confined as we are, there is no place for temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(engine)?;
    Ok(connection)
}

fn check_or_create(writer: &mut Connection) -> Result<(), StoreError> {
    let number = |name| writer.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(engine);
    let (application, format) = (number("application_id")?, number("user_version")?);
    let tables: i64 = writer.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(engine)?;
    let new = (application, format, tables) == (0, 0, 0);
    if !new && application != APPLICATION_ID {
        return Err(StoreError::Engine(format!("{FILE} is another program's database, not a store of Signet")));
    }
    if format > FORMAT {
        return Err(StoreError::Newer(u8::try_from(format).unwrap_or(u8::MAX)));
    }
    let mode: String = writer.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(engine)?;
    if mode != "wal" {
        return Err(StoreError::Engine(format!(
            "{FILE} cannot have a write-ahead log, only `{mode}`: is the file system local?"
        )));
    }
    if new {
        let transaction = writer.transaction().map_err(engine)?;
        // A table with a row id: values lie in the leaves whole, and the index stays small. Without
        // row ids every certificate would spill into an overflow page of its own.
        transaction
            .execute_batch(&format!(
                "CREATE TABLE kv (tree TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tree, key)) STRICT;
                 PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {FORMAT};"
            ))
            .map_err(engine)?;
        transaction.commit().map_err(engine)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic between the calls of a transaction rolls it back as it unwinds.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The file of a store that was opened once, changed by `sql`.
    fn store_changed_by(sql: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        drop(Sqlite::open(directory.path()).unwrap());
        Connection::open(directory.path().join(FILE)).unwrap().execute_batch(sql).unwrap();
        directory
    }

    #[test]
    fn a_file_of_a_newer_format_is_refused() {
        let directory = store_changed_by("PRAGMA user_version = 2");
        assert!(matches!(Sqlite::open(directory.path()), Err(StoreError::Newer(2))));
    }

    #[test]
    fn another_programs_database_is_refused() {
        let directory = store_changed_by("PRAGMA application_id = 7");
        assert!(
            matches!(Sqlite::open(directory.path()), Err(StoreError::Engine(why)) if why.contains("another program"))
        );
    }

    #[test]
    fn commits_are_synced_and_logged_and_readers_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path()).unwrap();
        let pragma = |name| lock(&store.writer).pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(pragma("synchronous"), 2);
        let mode: String = lock(&store.writer).pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert!(store.read(|reader| reader.execute("DELETE FROM kv", [])).is_err());
    }

    #[test]
    fn no_file_of_the_store_can_be_read_by_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path()).unwrap();
        assert_eq!(store.get(Tree("t"), b"k").unwrap(), None);
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 3, "the database, its log and the log's index");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        }
    }
}
