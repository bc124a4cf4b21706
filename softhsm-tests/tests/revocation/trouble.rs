//! Clocks that are set, a token that is gone for long, a disk without room: what is served stays right,
//! or health and metrics say plainly that it is not.

use std::process::Command;
use std::time::Instant;

use softhsm_tests::clients::{Said, run};
use softhsm_tests::powercut::{Disk, unavailable};
use softhsm_tests::rig::{Clock, FAKETIME, Options, health};
use softhsm_tests::wait::{wait_for, wait_until};

use crate::scene::{PATIENCE, Scene, crl_number, serial};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

// The daemons' clock of the day is libfaketime's, which reads in a file how far it is off: the step comes
// in the middle of their work, as when an administrator or NTP sets it. Their monotonic clocks go on as
// they do then. Relying parties, whose clocks are set alike, are OpenSSL with the same library.
#[test]
fn a_clock_that_steps_by_an_hour_or_a_year_is_survived_or_complained_about() {
    let settings = "[crl]\nafter_revocation = \"1s\"\n".to_owned();
    let scene = Scene::with(&Options { clock: Clock::Offset, settings: Some(settings), ..Options::default() });
    let leaves = ["an-hour", "a-year"].map(|name| scene.obtain(&format!("{name}.example.test")));
    for leaf in &leaves {
        assert!(answers(&scene.ask(leaf).text, ": good"));
    }
    let mut last = 0;
    for (step, leaf) in [HOUR, YEAR].into_iter().zip(&leaves) {
        let at = |offset: i64| {
            let said = ocsp_at(&scene, leaf, offset);
            assert!(said.text.contains("Response verify OK") || is_not_now(&said), "{}", said.text);
            said.text
        };
        // Forward: everything is renewed that has run out, and a revocation is published.
        scene.rig.set_clock(step);
        wait_until("it is right with the clock ahead", PATIENCE, || is_content(&scene) && answers(&at(step), ": good"))
            .unwrap_or_else(|error| panic!("{error}: {:?} {}", health(&scene.rig.layout), at(step)));
        let issued = scene.rig.environment.signetctl(&["cert", "revoke", &serial(leaf)]);
        // A year on, this certificate and the administrator's may have run out; then nothing is revoked.
        let revoked = issued.is_ok();
        assert!(revoked || step == YEAR, "{issued:?}");
        if revoked {
            wait_until("it is revoked", PATIENCE, || answers(&at(step), ": revoked"))
                .unwrap_or_else(|error| panic!("{error}: {}", at(step)));
        }
        if step == HOUR {
            wait_until("the CRL lists it", PATIENCE, || listed(&scene, &serial(leaf))).expect("a CRL");
        }
        let number = crl_number(&scene.fetch_crl("issuing-1"));
        assert!(number >= last, "CRL {number} after {last}");
        last = number;

        // Back: nothing is signed that is older than what was published, and everybody is told.
        scene.rig.set_clock(0);
        wait_until("it says that the clock is behind", PATIENCE, || {
            complaints(&scene).iter().any(|why| why.contains("clock is") || why.contains("clock behind"))
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", health(&scene.rig.layout)));
        assert_eq!(crl_number(&scene.fetch_crl("issuing-1")), last, "a CRL was signed with the clock behind");
        if revoked {
            let said = at(0);
            assert!(!said.contains(": good"), "a revoked certificate is good again: {said}");
        }

        // The right time has come: all is well again, without anybody's help.
        scene.rig.set_clock(step);
        wait_until("it is right again", PATIENCE, || is_content(&scene))
            .unwrap_or_else(|error| panic!("{error}: {:?}", health(&scene.rig.layout)));
    }
}

#[test]
fn a_token_that_is_gone_for_longer_than_a_lifetime_ends_no_process_and_nothing_stale_is_called_good() {
    // The shortest lifetimes that can be configured.
    let settings = "[crl]\nlifetime = \"1m\"\nevery = \"15s\"\nafter_revocation = \"1s\"\n\
                    [ocsp]\nlifetime = \"1m\"\n"
        .to_owned();
    let scene = Scene::with(&Options { settings: Some(settings), ..Options::default() });
    let rig = &scene.rig;
    let leaf = scene.obtain("asked.example.test");
    scene.ask(&leaf).success();
    let before = crl_number(&scene.fetch_crl("issuing-1"));
    let away = scene.directory().join("token-away");
    std::fs::rename(rig.layout.token("ca"), &away).expect("away");
    let gone = Instant::now();
    let (mut complained, mut refused) = (None, None);
    wait_until("it says that the CRL has run out", PATIENCE * 2, || {
        // An answer is good for now, or there is none.
        let said = scene.ask(&leaf).text;
        assert!(said.contains(": good") != said.contains("trylater"), "{said}");
        assert!(!said.contains("WARNING: Status times invalid"), "{said}");
        if said.contains("trylater") {
            refused.get_or_insert_with(|| gone.elapsed());
        }
        let complaints = complaints(&scene);
        if !complaints.is_empty() {
            complained.get_or_insert_with(|| gone.elapsed());
        }
        refused.is_some() && complaints.iter().any(|why| why.contains("CRL all") && why.contains("run out"))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", health(&rig.layout)));
    println!("complained after {complained:?}, tryLater after {refused:?}, run out after {:?}", gone.elapsed());
    rig.environment.signetctl(&["crl", "status"]).expect_err("exit code 1 while a CRL has run out");
    let metrics = metrics(&scene);
    let left = metrics.lines().find_map(|line| {
        line.strip_prefix("signet_artefact_seconds_to_expiry{artefact=\"CRL all of issuing-1\"} ")?.parse::<i64>().ok()
    });
    assert!(left.is_some_and(|left| left <= 0), "{left:?}: {metrics}");
    assert_eq!(rig.service("signetd").restarts, 0);

    std::fs::rename(&away, rig.layout.token("ca")).expect("back");
    rig.wait_until_ready();
    wait_until("it is right again", PATIENCE, || is_content(&scene) && scene.ask(&leaf).text.contains(": good"))
        .unwrap_or_else(|error| panic!("{error}: {:?}", health(&rig.layout)));
    assert!(crl_number(&scene.fetch_crl("issuing-1")) > before);
}

/// MiB of a disk that is soon full.
const DISK: u64 = 192;

#[test]
fn a_full_disk_stops_revocation_with_words_and_what_was_published_is_served_on() {
    if let Some(why) = unavailable() {
        return softhsm_tests::skipped(&why);
    }
    let disk = Disk::create(DISK).expect("a disk");
    let scene = Scene::with(&Options { disk: Some(disk.path().to_owned()), ..Options::default() });
    let rig = &scene.rig;
    let leaves = ["before", "during", "after"].map(|name| scene.obtain(&format!("{name}.example.test")));
    let [before, during, after] = &leaves;
    scene.ctl(&["cert", "revoke", &serial(before)]);
    scene.ctl(&["crl", "publish"]);
    let read = || std::fs::read(scene.fetch_crl("issuing-1")).expect("a CRL");
    let mut published = read();
    scene.ask(after).success();

    let ballast = disk.path().join("ballast");
    // What the daemons and the file system give back meanwhile may be room for a small CRL.
    let refused = wait_for("there is no room for a CRL", PATIENCE, || {
        fill(&ballast);
        let refused = rig.environment.signetctl(&["crl", "publish"]).err();
        if refused.is_none() {
            published = read();
        }
        refused
    })
    .expect("no room");
    println!("crl publish: {refused}");
    let revoked = rig.environment.signetctl(&["cert", "revoke", &serial(during)]);
    println!("cert revoke: {revoked:?}");
    wait_until("it says so", PATIENCE, || {
        let health = health(&rig.layout).expect("health");
        health["ready"] == false || !complaints(&scene).is_empty()
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", health(&rig.layout)));
    println!("{:?}", health(&rig.layout));
    assert_eq!(read(), published);
    assert!(scene.ask(after).text.contains(": good"));
    assert!(scene.ask(before).text.contains(": revoked"));
    if revoked.is_ok() {
        assert!(!scene.ask(during).text.contains(": good"), "it was acknowledged and has no effect");
    }

    std::fs::remove_file(&ballast).expect("room");
    wait_until("a certificate can be revoked again", PATIENCE, || {
        rig.environment.signetctl(&["cert", "revoke", &serial(during)]).is_ok()
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", health(&rig.layout)));
    wait_until("it is revoked", PATIENCE, || scene.ask(during).text.contains(": revoked")).expect("revoked");
    scene.ctl(&["crl", "publish"]);
    assert!(listed(&scene, &serial(during)) && listed(&scene, &serial(before)));
    wait_until("it is content", PATIENCE, || is_content(&scene))
        .unwrap_or_else(|error| panic!("{error}: {:?}", health(&rig.layout)));
    rig.verify(&[]);
}

/// Writes until there is no room for another octet.
fn fill(ballast: &std::path::Path) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(ballast).expect("a file");
    for size in [1 << 20, 4096, 1] {
        let piece = vec![7; size];
        while file.write_all(&piece).and_then(|()| file.sync_data()).is_ok() {}
    }
}

/// OpenSSL's question with a clock that is so far off.
fn ocsp_at(scene: &Scene, leaf: &std::path::Path, offset: i64) -> Said {
    let mut command = scene.openssl();
    command.arg("-no_nonce").arg("-cert").arg(leaf);
    command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", format!("{offset:+}"));
    run(&mut command)
}

/// Whether a relying party refuses an answer because of its times.
fn is_not_now(said: &Said) -> bool {
    ["Status times invalid", "trylater", "certificate is not yet valid", "has expired"]
        .iter()
        .any(|word| said.text.contains(word))
}

/// Whether an answer says so, and is one for now.
fn answers(said: &str, status: &str) -> bool {
    said.contains(status) && !said.contains("WARNING: Status times invalid")
}

fn metrics(scene: &Scene) -> String {
    let get = |name| scene.rig.environment.get(name);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--noproxy", "*", "--cacert", get("SIGNET_CA_FILE")]);
    curl.args(["--cert", get("SIGNET_ADMIN_CERT"), "--key", get("SIGNET_ADMIN_KEY")]);
    run(curl.arg(format!("{}/metrics", get("SIGNET_ADMIN_URL")))).success()
}

fn complaints(scene: &Scene) -> Vec<String> {
    let Ok(health) = health(&scene.rig.layout) else { return Vec::new() };
    let sentences = health["revocation"].as_array().expect("a list").iter();
    sentences.filter_map(|sentence| sentence.as_str().map(str::to_owned)).collect()
}

/// Nothing is wrong but what only the root's token can renew.
fn is_content(scene: &Scene) -> bool {
    let of_the_root =
        |sentence: &serde_json::Value| sentence.as_str().is_some_and(|text| text.starts_with("CRL of the root"));
    health(&scene.rig.layout)
        .is_ok_and(|health| health["revocation"].as_array().is_some_and(|sentences| sentences.iter().all(of_the_root)))
}

fn listed(scene: &Scene, serial: &str) -> bool {
    let crl = scene.fetch_crl("issuing-1");
    let said =
        run(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(crl)).success();
    said.to_lowercase().contains(serial)
}
