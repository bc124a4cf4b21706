//! After a power cut every acknowledged commit is in the store, and nothing half made.
//! `SIGNET_POWERCUT_ROUNDS` sets how many cuts each engine gets in each age (3).

use std::sync::{Mutex, PoisonError};

use daemon::store::EngineKind;
use softhsm_tests::powercut::{Age, Fsync, Report, rounds, unavailable};

#[test]
fn sled_keeps_what_it_acknowledged_while_it_is_young() {
    expect_no_loss(EngineKind::Sled, Age::Young);
}

#[test]
fn sled_keeps_what_it_acknowledged_when_its_space_was_used_again() {
    expect_no_loss(EngineKind::Sled, Age::Old);
}

#[test]
fn sqlite_keeps_what_it_acknowledged_while_it_is_young() {
    expect_no_loss(EngineKind::Sqlite, Age::Young);
}

#[test]
fn sqlite_keeps_what_it_acknowledged_when_its_space_was_used_again() {
    expect_no_loss(EngineKind::Sqlite, Age::Old);
}

#[test]
fn the_loss_is_found_where_fsync_does_nothing() {
    for engine in [EngineKind::Sled, EngineKind::Sqlite] {
        let Some(report) = cut(engine, 3, Age::Young, Fsync::Lies) else { return };
        assert!(!report.failures.is_empty(), "{report}");
    }
}

fn expect_no_loss(engine: EngineKind, age: Age) {
    let number = std::env::var("SIGNET_POWERCUT_ROUNDS").ok().and_then(|number| number.parse().ok()).unwrap_or(3);
    let Some(report) = cut(engine, number, age, Fsync::Works) else { return };
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!(report.rounds, number);
    assert!(report.acknowledged > 0, "nothing was written: {report}");
}

fn cut(engine: EngineKind, number: u32, age: Age, fsync: Fsync) -> Option<Report> {
    // One at a time: each has a disk in memory.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = unavailable() {
        softhsm_tests::skipped(&why);
        return None;
    }
    let report = rounds(engine, number, age, fsync).expect("a disk and a writer");
    println!("{engine:?}, {age:?}, fsync {fsync:?}: {report}");
    Some(report)
}
