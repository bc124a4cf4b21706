//! The power goes while certificates are issued: what a disk has then is started again, and the
//! books of that are checked against what clients held. Store and CA journal lie on the disk; the
//! token does not, because SoftHSM does not promise to survive this.
//!
//! `SIGNET_POWERCUT_ROUNDS` says how many for each engine; a few without it. Half of them meet a young
//! rig each, the other half one rig that has been issuing all the while.

use std::time::Duration;

use rustix::process::Signal;
use softhsm_tests::powercut::{self, Disk};
use softhsm_tests::rig::{Engine, Options, Rig, Watchdog, down};
use softhsm_tests::verify::verify;
use softhsm_tests::wait::wait_until;

const CUTS: u32 = 2;
const CLIENTS: usize = 3;
/// Size of a disk, in MiB.
const DISK: u64 = 512;
/// Longest wait for the load to go on.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_power_cut_while_issuing_loses_nothing_with_sqlite() {
    cut(Engine::Sqlite);
}

#[test]
fn a_power_cut_while_issuing_loses_nothing_with_sled() {
    cut(Engine::Sled);
}

fn cut(engine: Engine) {
    if let Some(why) = powercut::unavailable() {
        softhsm_tests::skipped(&why);
        return;
    }
    let cuts = match std::env::var("SIGNET_POWERCUT_ROUNDS") {
        Ok(text) => text.parse().expect("SIGNET_POWERCUT_ROUNDS is a number"),
        Err(_) => CUTS,
    };
    let young = cuts / 2;
    for number in 1..=young {
        rounds(engine, number, 1);
    }
    rounds(engine, young + 1, cuts - young);
}

/// Cuts the power of one rig several times, going on after each.
fn rounds(engine: Engine, first: u32, rounds: u32) {
    let disk = Disk::create(DISK).expect("a disk");
    let options = Options {
        engine: Some(engine),
        disk: Some(disk.path().to_owned()),
        // The world stands still while the disk is copied; nobody is to blame for that.
        watchdog: Watchdog::Off,
        ..Options::default()
    };
    let rig = Rig::start(&options);
    let load = rig.load(CLIENTS);
    for round in first..first + rounds {
        let wanted = load.issued() + 3 + u64::from(random() % 16);
        wait_until("the load goes on", PATIENCE, || load.issued() >= wanted).expect("issuance");
        std::thread::sleep(Duration::from_millis(u64::from(random() % 64)));

        rig.signal_all(Signal::STOP);
        let copy = disk.snapshot().expect("a copy of the disk");
        let held = load.held();
        rig.signal_all(Signal::CONT);

        let after = format!("after power cut {round}");
        let twin = rig.twin(copy.path()).expect(&after);
        twin.wait_until_ready();
        down(&twin.layout).expect("down");
        let verified = verify(&twin.layout, &twin.record(), &held).expect(&after);
        println!("{engine}: power cut {round}, {} certificates at clients, {verified:?}", held.len());
        assert!(verified.complete >= held.len());
    }
    let report = load.stop();
    assert!(report.seen.wrong.is_empty() && report.failed.is_empty(), "{:?} {:?}", report.seen, report.failed);
    rig.verify(&report.issued);
}

fn random() -> u8 {
    let mut byte = [0];
    aws_lc_rs::rand::fill(&mut byte).expect("random bytes");
    byte[0]
}
