//! Every serial number that was ever signed has an answer (J3), whenever `signetd` dies.
//!
//! `SIGNET_TORTURE_ROUNDS` says how many kills; a few without it.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use softhsm_tests::rig::health;
use softhsm_tests::verify;
use softhsm_tests::wait::wait_until;

use crate::scene::{PATIENCE, Scene};

const ROUNDS: u32 = 6;
const CLIENTS: usize = 2;
/// Serial numbers in one request.
const TOGETHER: usize = 20;

#[test]
fn whatever_was_signed_has_an_answer_when_signetd_dies_before_it_is_stored() {
    let rounds = match std::env::var("SIGNET_TORTURE_ROUNDS") {
        Ok(text) => text.parse().expect("SIGNET_TORTURE_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let scene = Scene::new();
    let rig = &scene.rig;
    let journal = rig.record().ca_state(&rig.layout).join("journal");
    let load = rig.load(CLIENTS);
    for round in 1..=rounds {
        let wanted = load.issued() + 1;
        wait_until("the load goes on", PATIENCE, || load.issued() >= wanted).expect("issuance");
        let before = rig.service("signetd").restarts;
        // What makes the journal longer is signed now, and in the store a moment later.
        let length = octets(&journal);
        let deadline = std::time::Instant::now() + PATIENCE;
        while octets(&journal) == length {
            assert!(std::time::Instant::now() < deadline, "nothing is journalled");
        }
        rig.signal("signetd", Signal::KILL);
        wait_until("it is started again", PATIENCE, || {
            let service = rig.service("signetd");
            service.restarts > before && service.ready
        })
        .expect("restart");
        rig.wait_until_ready();
        if round % 20 == 0 {
            println!("{round} of {rounds} kills, {} certificates", load.issued());
        }
    }
    let report = load.stop();
    assert!(report.seen.wrong.is_empty() && report.failed.is_empty(), "{:?} {:?}", report.seen.wrong, report.failed);
    let signed = verify::signed(&rig.layout, &rig.record(), "issuing-1").expect("the journal");
    assert!(signed.len() >= report.issued.len() && report.issued.len() >= rounds as usize);
    for some in signed.chunks(TOGETHER) {
        let said = scene.ask_serials(some).success();
        for serial in some {
            assert!(said.contains(&format!("0x{serial}: good")), "{serial}: {said}");
        }
    }
    println!("{rounds} kills, {} serial numbers answered", signed.len());
    assert_eq!(health(&rig.layout).expect("health")["ready"], true);
    rig.verify(&report.issued);
}

fn octets(journal: &Path) -> u64 {
    let segments = fs::read_dir(journal).expect("a journal").flatten();
    segments.filter_map(|segment| segment.metadata().ok()).map(|metadata| metadata.len()).sum()
}
