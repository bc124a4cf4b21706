//! A full disk is an error of the commit that meets it, and nothing that was acknowledged is lost.

use std::fs;
use std::path::Path;

use daemon::store::{Change, EngineKind, Store, Table, open};
use softhsm_tests::powercut::{Disk, unavailable};

const TEXTS: Table<String> = Table::new("texts");

/// MiB of a disk that soon is full.
const DISK: u64 = 96;

#[test]
fn sled_says_that_the_disk_is_full_and_goes_on_after_a_restart() {
    let Some(disk) = disk() else { return };
    let (store, number) = filled(EngineKind::Sled, disk.path());
    // Its memory is ahead of the disk, so it does not even read.
    assert!(store.get(&TEXTS, key(1)).is_err());
    drop(store);
    fs::remove_file(disk.path().join("ballast")).unwrap();
    expect_all(&Store::new(open(EngineKind::Sled, &disk.path().join("store")).unwrap()), number);
}

#[test]
fn sqlite_says_that_the_disk_is_full_and_goes_on_when_there_is_room() {
    let Some(disk) = disk() else { return };
    let (store, number) = filled(EngineKind::Sqlite, disk.path());
    assert_eq!(store.get(&TEXTS, key(1)).unwrap().unwrap().value, text(1));
    fs::remove_file(disk.path().join("ballast")).unwrap();
    expect_all(&store, number);
    assert_eq!(store.fault(), None);
    drop(store);
    expect_all(&Store::new(open(EngineKind::Sqlite, &disk.path().join("store")).unwrap()), number + 1);
}

fn disk() -> Option<Disk> {
    if let Some(why) = unavailable() {
        softhsm_tests::skipped(&why);
        return None;
    }
    Some(Disk::create(DISK).expect("a disk"))
}

/// A store that met a full disk, and the number of its last commit that was acknowledged.
fn filled(engine: EngineKind, disk: &Path) -> (Store, u64) {
    fs::write(disk.join("ballast"), vec![7; 40 << 20]).expect("room for ballast");
    let store = Store::new(open(engine, &disk.join("store")).expect("a store"));
    for number in 1.. {
        if let Err(error) = commit(&store, number) {
            let fault = store.fault().expect("a fault");
            assert_eq!(fault, error.to_string());
            return (store, number - 1);
        }
        assert!(number < 100_000, "the disk does not fill");
    }
    unreachable!("the numbers do not end")
}

/// All that were acknowledged are there, and the next one is taken.
fn expect_all(store: &Store, last: u64) {
    assert!(last > 100, "only {last} commits before the disk was full");
    for number in 1..=last {
        let row = store.get(&TEXTS, key(number)).expect("a read");
        assert_eq!(row.map(|row| row.value), Some(text(number)), "commit {number} of {last}");
    }
    if let Err(error) = commit(store, last + 1) {
        // The commit that met the full disk may have been made: the error says that it is not known.
        assert!(store.get(&TEXTS, key(last + 1)).expect("a read").is_some(), "{error}");
    }
}

fn commit(store: &Store, number: u64) -> Result<(), daemon::store::CommitError> {
    let mut change = Change::new();
    change.insert(&TEXTS, key(number), &text(number));
    store.commit_blocking(change)
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn text(number: u64) -> String {
    format!("{number:08}").repeat(500)
}
