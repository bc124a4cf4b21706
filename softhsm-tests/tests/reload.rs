//! SIGHUP: profiles, certificates and the log level are read again while clients go on; what cannot be used is
//! refused, and what was read before stays in force.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use softhsm_tests::acme;
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

fn log(rig: &Rig, service: &str) -> String {
    std::fs::read_to_string(rig.layout.log(service)).expect("a log")
}

/// Tells a service to read its files again, and waits until it says what came of it.
fn reload(rig: &Rig, service: &str, word: &str) {
    let count = || log(rig, service).matches(word).count();
    let before = count();
    rig.signal(service, Signal::HUP);
    wait_until(&format!("{service} says `{word}`"), PATIENCE, || count() > before).expect("a line");
}

const TAKEN: &str = "were read again";
const REFUSED: &str = "are refused";

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{}: no `{from}`", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).expect("a file");
}

/// How long the newest certificate of a client is valid, in days.
fn days(client: &mut acme::Client, name: &str) -> u64 {
    let issued = client.obtain(name).expect("a certificate");
    let certificate = policy::tbs::Certificate::from_der(&issued.chain[0]).expect("a certificate");
    let validity = certificate.validity();
    (validity.not_after().0 - validity.not_before().0).div_ceil(86_400)
}

#[test]
fn profiles_are_read_again_by_both_and_only_when_both_have_is_anything_issued() {
    let rig = Rig::start(&Options::default());
    let mut plan = rig.plan(1);
    plan.patience = Duration::from_secs(1);
    let mut client = acme::Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
    client.register().expect("an account");
    assert_eq!(days(&mut client, "first.example.test"), 90);

    let profile = rig.layout.config().join("profiles/server.toml");
    change(&profile, "90d", "30d");
    reload(&rig, "signetd", TAKEN);
    wait_until("the health says that they differ", PATIENCE, || {
        rig::health(&rig.layout).is_ok_and(|health| health["reasons"].to_string().contains("different files"))
    })
    .expect("the health");
    // By neither file: the order waits until both agree, or the client is told to come back.
    client.obtain("second.example.test").expect_err("no certificate");

    reload(&rig, "signer-ca", TAKEN);
    rig.wait_until_ready();
    assert_eq!(days(&mut client, "third.example.test"), 30);
    let journal =
        std::fs::read_to_string(rig.record().ca_state(&rig.layout).join("journal/journal-00000000000000000001.log"));
    let loaded = journal.expect("the journal");
    let loaded = loaded.lines().filter(|line| line.contains(r#""type":"profile_loaded","profile":"server""#)).count();
    assert_eq!(loaded, 2, "at the start and at the reload");

    // What cannot be used changes nothing, in either.
    let good = std::fs::read_to_string(&profile).expect("the profile");
    std::fs::write(&profile, "version = 1\nname = ").expect("a bad profile");
    reload(&rig, "signetd", REFUSED);
    reload(&rig, "signer-ca", REFUSED);
    for service in ["signetd", "signer-ca"] {
        wait_until("the status says so", PATIENCE, || {
            let status = rig.service(service).status;
            status.contains("reload refused") && status.contains("server.toml")
        })
        .unwrap_or_else(|error| panic!("{service}: {error}: {}", rig.service(service).status));
    }
    assert_eq!(days(&mut client, "fourth.example.test"), 30);
    std::fs::write(&profile, good).expect("the profile");
    reload(&rig, "signetd", TAKEN);
    reload(&rig, "signer-ca", TAKEN);
    for service in ["signetd", "signer-ca", "signer-tls"] {
        assert_eq!(rig.service(service).restarts, 0, "{service}");
    }
}

#[test]
fn clients_notice_no_reload_and_certificates_and_log_level_are_new() {
    let rig = Rig::start(&Options::default());
    let load = rig.load(3);
    let started = load.issued();
    for _ in 0..10 {
        reload(&rig, "signetd", TAKEN);
        reload(&rig, "signer-ca", TAKEN);
        reload(&rig, "signer-tls", TAKEN);
    }
    wait_until("certificates were issued meanwhile", PATIENCE, || load.issued() > started + 10).expect("certificates");
    let report = load.stop();
    assert!(report.failed.is_empty(), "{:?}", report.failed);

    // A chain of another key is refused, the same one with more in it is not.
    let chain = rig.layout.certificate("tls-1.pem");
    let good = std::fs::read_to_string(&chain).expect("the chain");
    let other = std::fs::read_to_string(rig.layout.certificate("issuing-1.pem")).expect("another certificate");
    std::fs::write(&chain, &other).expect("another chain");
    reload(&rig, "signetd", REFUSED);
    rig.wait_until_ready();
    std::fs::write(&chain, format!("{good}{other}")).expect("a longer chain");
    change(&rig.layout.signetd(), "version = 1", "version = 1\nlog = \"info,daemon::http=error\"");
    reload(&rig, "signetd", TAKEN);
    let answered = || log(&rig, "signetd").matches("answered").count();
    let before = answered();
    for _ in 0..10 {
        rig::health(&rig.layout).expect("health");
    }
    assert_eq!(answered(), before, "what is not asked for is logged");
    assert_eq!(rig.service("signetd").restarts, 0);
}
