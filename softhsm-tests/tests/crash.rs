//! Torture: a random process is killed under load, again and again; then the books are checked.
//!
//! `SIGNET_TORTURE_ROUNDS` says how many kills for each engine; a few without it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use softhsm_tests::rig::{Engine, Options, Rig};
use softhsm_tests::wait::wait_until;

const CLIENTS: usize = 3;
const SERVICES: [&str; 3] = ["signer-ca", "signer-tls", "signetd"];
const ROUNDS: u32 = 4;
/// Longest wait for the load to go on.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn killing_any_process_under_load_loses_nothing_with_sqlite() {
    torture(Engine::Sqlite);
}

#[test]
fn killing_any_process_under_load_loses_nothing_with_sled() {
    torture(Engine::Sled);
}

fn torture(engine: Engine) {
    let rounds = match std::env::var("SIGNET_TORTURE_ROUNDS") {
        Ok(text) => text.parse().expect("SIGNET_TORTURE_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let rig = Rig::start(&Options { engine: Some(engine), ..Options::default() });
    let load = rig.load(CLIENTS);
    let started = Instant::now();
    for round in 1..=rounds {
        // A signer must not die during its login, where SoftHSM rewrites a file of the token.
        rig.wait_until_ready();
        let wanted = load.issued() + 1 + u64::from(random() % 8);
        wait_until("the load goes on", PATIENCE, || load.issued() >= wanted).expect("issuance after a crash");
        std::thread::sleep(Duration::from_millis(u64::from(random() % 64)));
        let service = SERVICES[usize::from(random()) % SERVICES.len()];
        let before = rig.service(service).restarts;
        rig.signal(service, Signal::KILL);
        wait_until("it is started again", PATIENCE, || {
            let health = rig.service(service);
            health.restarts > before && health.ready
        })
        .expect("restart");
        if round % 20 == 0 {
            println!("{engine}: round {round} of {rounds}, {} certificates, {:?}", load.issued(), started.elapsed());
        }
    }
    rig.wait_until_ready();
    let wanted = load.issued() + 4;
    wait_until("the load goes on at the end", PATIENCE, || load.issued() >= wanted)
        .expect("issuance after the last crash");
    let report = load.stop();
    assert!(report.seen.wrong.is_empty(), "wrong answers: {:?}", report.seen.wrong);
    assert!(report.failed.is_empty(), "orders that came to nothing: {:?}", report.failed);
    let verified = rig.verify(&report.issued);
    println!("{engine}: {rounds} kills, {} certificates at clients, {verified:?}", report.issued.len());
    assert!(verified.complete >= report.issued.len());
}

fn random() -> u8 {
    let mut byte = [0];
    aws_lc_rs::rand::fill(&mut byte).expect("random bytes");
    byte[0]
}
