//! What every engine must do. One suite, run against each of them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::{
    Batch, Change, CommitError, Conflict, EngineKind, Expect, MAX_KEY, MAX_VALUE, Store, StoreError, Table, Tree,
    Write, envelope, open,
};

macro_rules! for_every_engine {
    ($($name:ident),* $(,)?) => {
        mod sled {
            $(#[test] fn $name() { super::$name(super::EngineKind::Sled) })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(super::EngineKind::Sqlite) })*
        }
    };
}

for_every_engine! {
    a_batch_sees_the_batches_before_it_in_its_group,
    a_batch_whose_precondition_fails_changes_no_tree,
    a_directory_with_the_store_of_another_engine_is_refused,
    a_put_is_seen_by_those_who_update_what_they_read_before,
    a_scan_never_sees_half_a_batch,
    an_engine_does_what_an_ordered_map_does,
    concurrent_increments_lose_nothing,
    damage_in_a_value_is_found,
    damage_anywhere_on_the_disk_never_gives_a_wrong_value,
    damage_on_the_disk_is_found,
    keys_and_values_have_room_up_to_their_limits,
    pages_by_cursor_show_each_row_once_while_others_write,
    ranges_include_and_exclude_their_ends,
    trees_do_not_run_into_each_other,
    what_is_committed_survives_reopening,
}

const A: Tree = Tree("a");
const B: Tree = Tree("b");
const NUMBERS: Table<u64> = Table::new("numbers");
const TEXTS: Table<String> = Table::new("texts");

fn what_is_committed_survives_reopening(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let mut change = Change::new();
    change.insert(&NUMBERS, "kept", &1);
    change.insert(&NUMBERS, "removed", &2);
    change.insert(&TEXTS, "kept", &"text".to_owned());
    store.commit_blocking(change).unwrap();
    let mut change = Change::new();
    change.update(&NUMBERS, "kept", 1, &3);
    change.delete(&NUMBERS, "removed");
    store.commit_blocking(change).unwrap();
    drop(store);

    let store = self::store(kind, directory.path());
    let kept = store.get(&NUMBERS, "kept").unwrap().unwrap();
    assert_eq!((kept.value, kept.version), (3, 2));
    assert_eq!(store.get(&NUMBERS, "removed").unwrap(), None);
    assert_eq!(store.get(&TEXTS, "kept").unwrap().unwrap().value, "text");
    assert_eq!(store.fault(), None);
}

fn a_batch_whose_precondition_fails_changes_no_tree(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let mut change = Change::new();
    change.insert(&NUMBERS, "k", &1);
    store.commit_blocking(change).unwrap();
    let mut again = Change::new();
    again.put(&TEXTS, "first", &"x".to_owned());
    again.insert(&NUMBERS, "k", &2);
    again.put(&TEXTS, "second", &"x".to_owned());
    let mut stale = Change::new();
    stale.put(&TEXTS, "first", &"x".to_owned());
    stale.update(&NUMBERS, "k", 9, &2);
    let mut missing = Change::new();
    missing.put(&TEXTS, "first", &"x".to_owned());
    missing.update(&NUMBERS, "nothing here", 1, &2);
    for change in [again, stale, missing] {
        let result = store.commit_blocking(change);
        assert!(matches!(result, Err(CommitError::Conflict(Conflict { tree: "numbers" }))), "{result:?}");
    }
    assert_eq!(store.get(&NUMBERS, "k").unwrap().unwrap().value, 1);
    assert!(all(&store, &TEXTS).is_empty());
    assert_eq!(store.fault(), None, "a conflict is no fault of the store");
}

fn a_batch_sees_the_batches_before_it_in_its_group(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(kind, directory.path()).unwrap();
    let insert = |version| Batch(vec![write(A, b"k", Some(version), Some(Expect::Absent))]);
    let update = |read| Batch(vec![write(A, b"k", Some(read + 1), Some(Expect::Version(read)))]);
    let delete = Batch(vec![write(A, b"k", None, Some(Expect::Version(2)))]);
    let group = [insert(1), insert(1), update(1), update(1), delete, update(2), insert(7)];
    let results: Vec<bool> = engine.apply(&group).unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(results, [true, false, true, false, true, false, true]);
    assert_eq!(engine.get(A, b"k").unwrap().and_then(|value| envelope::version(&value)), Some(7));

    let twice = Batch(vec![
        write(B, b"k", Some(1), Some(Expect::Absent)),
        write(B, b"k", Some(2), Some(Expect::Version(1))),
        write(B, b"l", Some(1), None),
        write(B, b"l", None, None),
    ]);
    assert_eq!(engine.apply(&[twice]).unwrap(), [Ok(())], "a write sees those before it in its batch");
    assert_eq!(engine.get(B, b"k").unwrap().and_then(|value| envelope::version(&value)), Some(2));
    assert_eq!(engine.get(B, b"l").unwrap(), None);
    assert_eq!(engine.apply(&[]).unwrap(), []);
}

fn a_put_is_seen_by_those_who_update_what_they_read_before(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let put = |value: u64| {
        let mut change = Change::new();
        change.put(&NUMBERS, "k", &value);
        store.commit_blocking(change).unwrap();
        store.get(&NUMBERS, "k").unwrap().unwrap().version
    };
    let update = |read| {
        let mut change = Change::new();
        change.update(&NUMBERS, "k", read, &0);
        store.commit_blocking(change)
    };
    let first = put(1);
    let second = put(1);
    assert!(matches!(update(first), Err(CommitError::Conflict(_))));
    update(second).unwrap();
    put(1);
    assert!(matches!(update(second + 1), Err(CommitError::Conflict(_))));
}

fn ranges_include_and_exclude_their_ends(kind: EngineKind) {
    use Bound::{Excluded, Included, Unbounded};
    let directory = tempfile::tempdir().unwrap();
    let engine = open(kind, directory.path()).unwrap();
    let keys: [&[u8]; 6] = [b"\0", b"a", b"a\0", b"ab", b"b", b"\xff\xff"];
    let writes = keys.iter().map(|key| write(A, key, Some(1), None)).collect();
    engine.apply(&[Batch(writes)]).unwrap()[0].clone().unwrap();

    let model: BTreeMap<Vec<u8>, ()> = keys.iter().map(|key| (key.to_vec(), ())).collect();
    let ends: Vec<Bound<&[u8]>> = [b"".as_slice(), b"a", b"aa", b"ab", b"b", b"\xff\xff", b"\xff\xff\xff"]
        .into_iter()
        .flat_map(|end| [Included(end), Excluded(end)])
        .chain([Unbounded])
        .collect();
    for from in &ends {
        for to in &ends {
            let mut expected: Vec<&[u8]> = model
                .keys()
                .map(Vec::as_slice)
                .filter(|key| match from {
                    Included(from) => key >= from,
                    Excluded(from) => key > from,
                    Unbounded => true,
                })
                .filter(|key| match to {
                    Included(to) => key <= to,
                    Excluded(to) => key < to,
                    Unbounded => true,
                })
                .collect();
            for reverse in [false, true] {
                for limit in [0, 1, 3, usize::MAX] {
                    let rows = engine.scan(A, (*from, *to), limit, reverse).unwrap();
                    let found: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_slice()).collect();
                    let expected = &expected[..expected.len().min(limit)];
                    assert_eq!(found, expected, "{from:?} to {to:?}, limit {limit}, reverse {reverse}");
                }
                expected.reverse();
            }
        }
    }
}

fn trees_do_not_run_into_each_other(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(kind, directory.path()).unwrap();
    let trees = [Tree("a"), Tree("ab"), Tree("a_b"), Tree("b")];
    let batch =
        trees.iter().flat_map(|tree| [b"\0".as_slice(), b"b", b"\xff"].map(|key| write(*tree, key, Some(1), None)));
    engine.apply(&[Batch(batch.collect())]).unwrap()[0].clone().unwrap();
    for tree in trees {
        for reverse in [false, true] {
            let rows = engine.scan(tree, (Bound::Unbounded, Bound::Unbounded), 9, reverse).unwrap();
            assert_eq!(rows.len(), 3);
            for (key, value) in rows {
                envelope::decode(tree, &key, &value).unwrap();
            }
        }
    }
    assert!(engine.scan(Tree("c"), (Bound::Unbounded, Bound::Unbounded), 9, false).unwrap().is_empty());
}

fn pages_by_cursor_show_each_row_once_while_others_write(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let mut change = Change::new();
    for number in (0..400u64).step_by(2) {
        change.insert(&NUMBERS, number.to_be_bytes(), &number);
    }
    store.commit_blocking(change).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (1..400u64).step_by(2).cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let mut change = Change::new();
                change.put(&NUMBERS, number.to_be_bytes(), &number);
                change.delete(&NUMBERS, ((number + 200) % 400).to_be_bytes());
                store.commit_blocking(change).unwrap();
            }
        });
        for reverse in [false, true, false, true] {
            let mut even = Vec::new();
            let mut cursor: Option<Vec<u8>> = None;
            loop {
                let after = cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let range = if reverse { (Bound::Unbounded, after) } else { (after, Bound::Unbounded) };
                let page = store.scan(&NUMBERS, range, 7, reverse).unwrap();
                let Some((last, _)) = page.last() else { break };
                cursor = Some(last.clone());
                even.extend(page.iter().map(|(_, row)| row.value).filter(|number| number % 2 == 0));
            }
            if reverse {
                even.reverse();
            }
            let expected: Vec<u64> = (0..400).step_by(2).collect();
            assert_eq!(even, expected);
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn a_scan_never_sees_half_a_batch(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let both = |value: u64| {
        let mut change = Change::new();
        change.put(&NUMBERS, "left", &value);
        change.put(&NUMBERS, "right", &value);
        store.commit_blocking(change).unwrap();
    };
    both(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..60).for_each(both);
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let rows = all(&store, &NUMBERS);
            assert_eq!(rows.len(), 2);
            assert_eq!(rows[0].1, rows[1].1);
        }
    });
}

fn concurrent_increments_lose_nothing(kind: EngineKind) {
    const THREADS: u64 = 16;
    const EACH: u64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let mut change = Change::new();
    change.insert(&NUMBERS, "sum", &0);
    store.commit_blocking(change).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for turn in 0..EACH {
                    loop {
                        let sum = store.get(&NUMBERS, "sum").unwrap().unwrap();
                        let mut change = Change::new();
                        change.update(&NUMBERS, "sum", sum.version, &(sum.value + 1));
                        change.insert(&TEXTS, format!("{thread}/{turn}"), &String::new());
                        match store.commit_blocking(change) {
                            Ok(()) => break,
                            Err(CommitError::Conflict(conflict)) => assert_eq!(conflict.tree, "numbers"),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let sum = store.get(&NUMBERS, "sum").unwrap().unwrap();
    assert_eq!((sum.value, sum.version), (THREADS * EACH, THREADS * EACH + 1));
    assert_eq!(all(&store, &TEXTS).len() as u64, THREADS * EACH);
}

fn keys_and_values_have_room_up_to_their_limits(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    let value = |number: usize| format!("{number:02}").repeat(MAX_VALUE / 2 - 1);
    for number in 0..40 {
        let mut change = Change::new();
        change.insert(&TEXTS, [number as u8; MAX_KEY], &value(number));
        store.commit_blocking(change).unwrap();
    }
    drop(store);
    let rows = all(&self::store(kind, directory.path()), &TEXTS);
    assert_eq!(rows.len(), 40);
    for (number, (key, text)) in rows.into_iter().enumerate() {
        assert_eq!(key, [number as u8; MAX_KEY]);
        assert!(text == value(number), "value {number}");
    }
}

fn damage_in_a_value_is_found(kind: EngineKind) {
    let good = envelope::encode(NUMBERS.tree, b"k", 1, b"17");
    for position in [0, 1, 8, 9, 12, 13, good.len() - 1] {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(kind, directory.path()).unwrap();
        let mut value = good.clone();
        value[position] ^= 1;
        // Nothing above the engine sees this write: it is as if the disk had changed the value.
        let write = Write { tree: NUMBERS.tree, key: b"k".to_vec(), value: Some(value), expect: None };
        engine.apply(&[Batch(vec![write])]).unwrap()[0].clone().unwrap();
        let store = Store::new(engine);
        let scan = store.scan(&NUMBERS, (Bound::Unbounded, Bound::Unbounded), 9, false);
        for error in [store.get(&NUMBERS, b"k").unwrap_err(), scan.unwrap_err()] {
            assert!(matches!(error, StoreError::Damaged { tree: "numbers", .. }), "octet {position}: {error}");
        }
    }
}

fn damage_on_the_disk_is_found(kind: EngineKind) {
    const MARK: &str = "there is no other text like this one";
    let directory = tempfile::tempdir().unwrap();
    let store = store(kind, directory.path());
    for number in 0..40u64 {
        let mut change = Change::new();
        change.insert(&TEXTS, number.to_be_bytes(), &if number == 20 { MARK.to_owned() } else { "x".repeat(2000) });
        store.commit_blocking(change).unwrap();
    }
    drop(store);
    // Closed, and what was in a log is where it stays.
    drop(self::store(kind, directory.path()));
    assert!(damage(directory.path(), MARK.as_bytes()) > 0, "the value is in no file");
    let error = match open(kind, directory.path()) {
        Ok(engine) => match Store::new(engine).get(&TEXTS, 20u64.to_be_bytes()) {
            Ok(value) => panic!("{value:?}"),
            Err(error) => error,
        },
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Engine(_)), "{error}");
}

fn damage_anywhere_on_the_disk_never_gives_a_wrong_value(kind: EngineKind) {
    let whole = tempfile::tempdir().unwrap();
    let store = store(kind, whole.path());
    let text = |number: u64| format!("{number:02}").repeat(100 + number as usize);
    for number in 0..60u64 {
        let mut change = Change::new();
        change.insert(&TEXTS, number.to_be_bytes(), &text(number));
        store.commit_blocking(change).unwrap();
    }
    drop(store);
    drop(self::store(kind, whole.path()));
    let files = files(whole.path());
    let used: Vec<(usize, usize)> = (0..files.len())
        .flat_map(|file| (0..files[file].1.len()).map(move |at| (file, at)))
        .filter(|(file, at)| files[*file].1[*at] != 0)
        .collect();
    for (hit, at) in used.iter().step_by(used.len() / 150) {
        let damaged = tempfile::tempdir().unwrap();
        for (file, (path, octets)) in files.iter().enumerate() {
            let mut octets = octets.clone();
            if file == *hit {
                octets[*at] ^= 0x10;
            }
            let path = damaged.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, octets).unwrap();
        }
        // It may refuse to open, and it may refuse to read; it may not make something up.
        let Ok(engine) = open(kind, damaged.path()) else { continue };
        let store = Store::new(engine);
        for number in 0..60u64 {
            if let Ok(Some(row)) = store.get(&TEXTS, number.to_be_bytes()) {
                assert!(row.value == text(number), "octet {at} of {:?}: value {number} is another one", files[*hit].0);
            }
        }
    }
}

/// The files below a directory, by their paths in it.
fn files(directory: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = std::path::PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, octets)| (name.join(below), octets)));
        } else {
            found.push((name, std::fs::read(path).unwrap()));
        }
    }
    found
}

/// Flips a bit in each occurrence of the mark in the files below the directory.
fn damage(directory: &Path, mark: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += damage(&path, mark);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let places: Vec<usize> =
            (0..bytes.len()).filter(|at| bytes.get(*at..at + mark.len()).is_some_and(|text| text == mark)).collect();
        for place in &places {
            bytes[place + 5] ^= 1;
        }
        found += places.len();
        std::fs::write(&path, bytes).unwrap();
    }
    found
}

fn a_directory_with_the_store_of_another_engine_is_refused(kind: EngineKind) {
    let directory = tempfile::tempdir().unwrap();
    drop(open(kind, directory.path()).unwrap());
    let other = match kind {
        EngineKind::Sled => EngineKind::Sqlite,
        EngineKind::Sqlite => EngineKind::Sled,
    };
    let Err(StoreError::Engine(why)) = open(other, directory.path()) else { panic!("it opened") };
    assert!(why.contains("another engine"), "{why}");
    open(kind, directory.path()).unwrap();
}

/// A step of the model test: groups of batches of writes over two trees and few keys.
fn groups() -> impl Strategy<Value = Vec<Vec<Batch>>> {
    let expect = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Expect::Absent)),
        1 => (1..4u64).prop_map(|version| Some(Expect::Version(version))),
    ];
    let key = prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b'k'), Just(255)], 1..3);
    let write = (prop::bool::ANY, key, prop::option::weighted(0.7, 1..4u64), expect)
        .prop_map(|(tree, key, version, expect)| write(if tree { A } else { B }, &key, version, expect));
    let batch = prop::collection::vec(write, 0..4).prop_map(Batch);
    prop::collection::vec(prop::collection::vec(batch, 0..4), 0..8)
}

fn an_engine_does_what_an_ordered_map_does(kind: EngineKind) {
    proptest!(ProptestConfig::with_cases(24), |(groups in groups())| {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = open(kind, directory.path()).unwrap();
        let mut model: BTreeMap<(Tree, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            let results = engine.apply(group).unwrap();
            let expected: Vec<Result<(), Conflict>> = group.iter().map(|batch| apply_to_model(&mut model, batch)).collect();
            prop_assert_eq!(results, expected);
            if number == groups.len() / 2 {
                drop(engine);
                engine = open(kind, directory.path()).unwrap();
            }
            for tree in [A, B] {
                let expected: Vec<(Vec<u8>, Vec<u8>)> =
                    model.iter().filter(|((t, _), _)| *t == tree).map(|((_, k), v)| (k.clone(), v.clone())).collect();
                prop_assert_eq!(engine.scan(tree, (Bound::Unbounded, Bound::Unbounded), 99, false).unwrap(), expected);
            }
            for (tree, key) in group.iter().flat_map(|batch| &batch.0).map(|write| (write.tree, write.key.clone())) {
                prop_assert_eq!(engine.get(tree, &key).unwrap(), model.get(&(tree, key)).cloned());
            }
        }
    });
}

fn apply_to_model(model: &mut BTreeMap<(Tree, Vec<u8>), Vec<u8>>, batch: &Batch) -> Result<(), Conflict> {
    let mut next = model.clone();
    for write in &batch.0 {
        let place = (write.tree, write.key.clone());
        let version = next.get(&place).map(|value| envelope::version(value).unwrap());
        match write.expect {
            Some(Expect::Absent) if version.is_some() => return Err(Conflict { tree: write.tree.0 }),
            Some(Expect::Version(expected)) if version != Some(expected) => {
                return Err(Conflict { tree: write.tree.0 });
            }
            _ => {}
        }
        match &write.value {
            Some(value) => next.insert(place, value.clone()),
            None => next.remove(&place),
        };
    }
    *model = next;
    Ok(())
}

fn store(kind: EngineKind, directory: &Path) -> Store {
    Store::new(open(kind, directory).unwrap())
}

fn write(tree: Tree, key: &[u8], version: Option<u64>, expect: Option<Expect>) -> Write {
    let value = version.map(|version| envelope::encode(tree, key, version, format!("\"v{version}\"").as_bytes()));
    Write { tree, key: key.to_vec(), value, expect }
}

fn all<T: serde::de::DeserializeOwned>(store: &Store, table: &Table<T>) -> Vec<(Vec<u8>, T)> {
    let rows = store.scan(table, (Bound::Unbounded, Bound::Unbounded), usize::MAX, false).unwrap();
    rows.into_iter().map(|(key, row)| (key, row.value)).collect()
}
