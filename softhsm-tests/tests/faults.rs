//! The token goes away, the CA's signer dies or hangs, all under load: service resumes by itself and
//! unsealed, nothing is lost, and no client was told anything but 503, or waited.

use std::time::Duration;

use rustix::process::Signal;
use softhsm_tests::acme::load::{Load, Report};
use softhsm_tests::rig::{Options, Rig};
use softhsm_tests::wait::wait_until;

const CLIENTS: usize = 2;
/// Longest wait for the load to go on.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_token_that_is_moved_away_and_back_delays_and_loses_nothing() {
    let rig = Rig::start(&Options::default());
    let load = rig.load(CLIENTS);
    progress(&load, 4);
    let away = rig.directory().join("token-away");
    for _ in 0..2 {
        std::fs::rename(rig.layout.token("ca"), &away).expect("away");
        let before = load.issued();
        // Orders already past the signer end; then nothing is issued.
        wait_until("the daemon says that it cannot issue", PATIENCE, || !is_ready(&rig)).expect("not ready");
        assert!(rig.service("signetd").ready && rig.service("signetd").restarts == 0, "the daemon stays up");
        std::fs::rename(&away, rig.layout.token("ca")).expect("back");
        rig.wait_until_ready();
        progress(&load, load.issued() - before + 4);
    }
    finish(&rig, load);
}

#[test]
fn a_ca_signer_that_is_killed_comes_back_unsealed() {
    let rig = Rig::start(&Options::default());
    let load = rig.load(CLIENTS);
    for round in 1..=3 {
        progress(&load, 4);
        rig.signal("signer-ca", Signal::KILL);
        wait_until("it was started again", PATIENCE, || rig.service("signer-ca").restarts == round).expect("restart");
        rig.wait_until_ready();
    }
    progress(&load, 4);
    finish(&rig, load);
}

#[test]
fn a_ca_signer_that_hangs_is_replaced_and_comes_back_unsealed() {
    let rig = Rig::start(&Options::default());
    let load = rig.load(CLIENTS);
    progress(&load, 4);
    rig.signal("signer-ca", Signal::STOP);
    wait_until("it was replaced", PATIENCE, || rig.service("signer-ca").restarts == 1).expect("restart");
    rig.wait_until_ready();
    progress(&load, 4);
    finish(&rig, load);
}

/// Waits for `count` more certificates.
fn progress(load: &Load, count: u64) {
    let wanted = load.issued() + count;
    wait_until(&format!("{wanted} certificates are issued"), PATIENCE, || load.issued() >= wanted)
        .expect("the load goes on");
}

fn is_ready(rig: &Rig) -> bool {
    softhsm_tests::rig::health(&rig.layout).is_ok_and(|health| health["ready"] == true)
}

fn finish(rig: &Rig, load: Load) {
    let Report { issued, seen, failed } = load.stop();
    assert!(seen.wrong.is_empty(), "answers that are neither good nor 503: {:?}", seen.wrong);
    assert!(failed.is_empty(), "orders that came to nothing: {failed:?}");
    assert_eq!(seen.lost, 0, "connections of clients are not cut when a signer fails");
    let verified = rig.verify(&issued);
    assert!(verified.complete >= issued.len(), "{verified:?} for {} certificates", issued.len());
}
