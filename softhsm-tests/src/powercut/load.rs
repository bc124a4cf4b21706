//! What is written while the power goes, and what must be there afterwards.
//!
//! Some workers commit at the same time. The commit number `n` of a worker inserts a record and its
//! row in an index, counts the worker's counter from `n - 1` to `n`, and removes the record that is
//! [`KEPT`] older, with its row. So whatever the moment, the tree is in one of few states, and each
//! worker has at most one commit that was made and not acknowledged.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;

use daemon::store::{Change, CommitError, EngineKind, Store, StoreError, Table, open};

/// How many workers write.
pub const WORKERS: u16 = 8;

/// How many records of each worker stay; older ones are removed, and their space used again.
pub const KEPT: u64 = 200;

const RECORDS: Table<String> = Table::new("powercut_records");
const INDEX: Table<()> = Table::new("powercut_index");
const COUNTERS: Table<u64> = Table::new("powercut_counters");

/// The last number that each worker had acknowledged.
pub type Acknowledged = BTreeMap<u16, u64>;

/// Writes until it is killed. Each commit that is durable is a line `worker number` in `out`.
pub fn write(engine: EngineKind, directory: &Path, out: impl Write + Send) -> Result<(), CommitError> {
    let store = Store::new(open(engine, directory)?);
    let out = std::sync::Mutex::new(out);
    let acknowledge = |worker: u16, number: u64| -> io::Result<()> {
        let mut out = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One write: a line is there whole or not at all.
        out.write_all(format!("{worker} {number}\n").as_bytes())?;
        out.flush()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (store, acknowledge) = (&store, &acknowledge);
                scope.spawn(move || -> Result<(), CommitError> {
                    loop {
                        let number = commit_next(store, worker)?;
                        if acknowledge(worker, number).is_err() {
                            // Nobody listens any more.
                            return Ok(());
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Whether the store has everything that was acknowledged, is whole, and takes new commits that
/// are there when it is opened once more. The error is a sentence.
pub fn verify(engine: EngineKind, directory: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
    if acknowledged.is_empty() && !directory.exists() {
        return Ok(());
    }
    let opened = || open(engine, directory).map(Store::new).map_err(|error| format!("it does not open: {error}"));
    let store = opened()?;
    check(&store, acknowledged)?;
    let mut more = Acknowledged::new();
    for worker in 0..WORKERS {
        let number = commit_next(&store, worker).map_err(|error| format!("it takes no commit: {error}"))?;
        more.insert(worker, number);
    }
    drop(store);
    check(&opened()?, &more).map_err(|why| format!("opened once more: {why}"))
}

fn commit_next(store: &Store, worker: u16) -> Result<u64, CommitError> {
    let mut change = Change::new();
    let counter = worker.to_be_bytes();
    let before = store.get(&COUNTERS, counter)?;
    let number = before.as_ref().map_or(0, |before| before.value) + 1;
    match before {
        Some(before) => change.update(&COUNTERS, counter, before.version, &number),
        None => change.insert(&COUNTERS, counter, &number),
    }
    change.insert(&RECORDS, record_key(worker, number), &text(worker, number));
    change.insert(&INDEX, index_key(worker, number), &());
    if let Some(old) = number.checked_sub(KEPT).filter(|old| *old > 0) {
        change.delete(&RECORDS, record_key(worker, old));
        change.delete(&INDEX, index_key(worker, old));
    }
    store.commit_blocking(change)?;
    Ok(number)
}

fn check(store: &Store, acknowledged: &Acknowledged) -> Result<(), String> {
    let failed = |error: StoreError| error.to_string();
    let mut records = BTreeMap::new();
    for worker in 0..WORKERS {
        let counter = store.get(&COUNTERS, worker.to_be_bytes()).map_err(failed)?.map_or(0, |counter| counter.value);
        let known = acknowledged.get(&worker).copied().unwrap_or(0);
        if !(known..=known + 1).contains(&counter) {
            return Err(format!("worker {worker} was told that {known} is durable, and the store has {counter}"));
        }
        for number in counter.saturating_sub(KEPT) + 1..=counter {
            records.insert(record_key(worker, number), (worker, number));
        }
    }
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let found = store.scan(&RECORDS, everything, usize::MAX, false).map_err(failed)?;
    for ((key, row), (expected, (worker, number))) in found.iter().zip(&records) {
        if key != expected || row.value != text(*worker, *number) {
            return Err(format!("record {number} of worker {worker} is missing or another one"));
        }
    }
    let index: Vec<Vec<u8>> =
        store.scan(&INDEX, everything, usize::MAX, false).map_err(failed)?.into_iter().map(|(key, _)| key).collect();
    let mut expected: Vec<Vec<u8>> = records.values().map(|(worker, number)| index_key(*worker, *number)).collect();
    expected.sort();
    if found.len() != records.len() || index != expected {
        let (found, index, expected) = (found.len(), index.len(), expected.len());
        return Err(format!("{found} records and {index} rows in their index, where there must be {expected}"));
    }
    Ok(())
}

fn record_key(worker: u16, number: u64) -> Vec<u8> {
    [worker.to_be_bytes().as_slice(), &number.to_be_bytes()].concat()
}

/// In another order than the records, as serial numbers are.
fn index_key(worker: u16, number: u64) -> Vec<u8> {
    [scatter(worker, number).to_be_bytes().as_slice(), &record_key(worker, number)].concat()
}

/// The record's text: as long as a certificate's record mostly, and now and then very long.
fn text(worker: u16, number: u64) -> String {
    let seed = scatter(worker, number);
    let length = if number.is_multiple_of(50) { 60_000 } else { 300 + seed % 3_000 };
    format!("{seed:016x}").chars().cycle().take(length as usize).collect()
}

fn scatter(worker: u16, number: u64) -> u64 {
    (number ^ u64::from(worker) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
