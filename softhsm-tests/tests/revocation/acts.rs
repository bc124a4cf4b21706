//! Acts of an administrator, sealing, and a `signetd` that dies.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use softhsm_tests::rig;
use softhsm_tests::wait::wait_until;

use crate::scene::{PATIENCE, Scene, crl_number, serial};

#[test]
fn a_hold_is_taken_back_and_a_list_is_acted_on_when_it_is_meant() {
    let scene = Scene::new();
    let leaf = scene.obtain("held.example.test");
    let serial = serial(&leaf);
    let refused = scene.rig.environment.signetctl(&["cert", "hold", &serial]).expect_err("the profile refuses it");
    assert!(refused.contains("does not allow it"), "{refused}");
    let list = scene.directory().join("list");
    std::fs::write(&list, format!("# from a report\n{serial}\n")).expect("a list");
    let path = list.display().to_string();
    assert!(scene.ctl(&["cert", "revoke", "--list", &path]).contains("1 certificate(s) would be revoked"));
    assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    assert!(scene.ctl(&["cert", "revoke", "--of-profile", "server", "--dry-run"]).starts_with("1 certificate"));
    assert!(scene.ctl(&["cert", "revoke", "--list", &path, "--yes"]).contains("1 certificate(s) revoked"));
    wait_until("the revocation is answered", PATIENCE, || {
        scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": revoked")
    })
    .expect("revoked");
    assert!(scene.ctl(&["cert", "revoke", "--of-profile", "server", "--yes"]).starts_with("0 certificate"));
}

#[test]
fn while_sealed_what_was_signed_is_served_and_a_nonce_gets_the_answer_without_it() {
    let scene = Scene::new();
    let (leaf, fresh) = (scene.obtain("asked.example.test"), scene.obtain("fresh.example.test"));
    scene.openssl_ocsp(&leaf, &["-no_nonce"]).success();
    let crl = std::fs::read(scene.fetch_crl("issuing-1")).expect("a CRL");
    scene.ctl(&["seal"]);
    wait_until("it is sealed", PATIENCE, || {
        rig::health(&scene.rig.layout).is_ok_and(|health| health["seal"] == "sealed")
    })
    .expect("sealed");
    assert_eq!(std::fs::read(scene.fetch_crl("issuing-1")).expect("a CRL"), crl);
    assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    let said = scene.openssl_ocsp(&leaf, &[]);
    assert!(said.text.contains("no nonce in response") && said.text.contains(": good"), "{}", said.text);
    let said = scene.openssl_ocsp(&fresh, &["-no_nonce"]);
    assert!(said.text.to_lowercase().contains("trylater"), "{}", said.text);
    // Revoking works; the answer that was signed before must not be given any more.
    scene.ctl(&["cert", "revoke", &serial(&leaf)]);
    wait_until("nobody is told any more that it is good", PATIENCE, || {
        !scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good")
    })
    .expect("no answer that is known to be wrong");
    scene.ctl(&["unseal", "--pin-file", scene.rig.environment.get("SIGNET_PIN_FILE")]);
    wait_until("it is answered again", PATIENCE, || {
        scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": revoked")
    })
    .expect("revoked");
}

#[test]
fn signetd_that_dies_while_it_publishes_never_goes_back() {
    let scene = Scene::new();
    let leaf = scene.obtain("before.example.test");
    let mut last = 0;
    for round in 0..6u64 {
        let publishing = {
            let environment = scene.rig.environment.clone();
            std::thread::spawn(move || environment.signetctl(&["crl", "publish"]))
        };
        std::thread::sleep(Duration::from_millis(5 + 12 * round));
        let before = scene.rig.service("signetd").restarts;
        scene.rig.signal("signetd", Signal::KILL);
        // Whether it was published before the end nobody can say.
        let _ = publishing.join();
        wait_until("it is started again", PATIENCE, || {
            let health = scene.rig.service("signetd");
            health.restarts > before && health.ready
        })
        .expect("restart");
        scene.rig.wait_until_ready();
        let number = crl_number(&scene.fetch_crl("issuing-1"));
        assert!(number >= last, "CRL {number} after {last}");
        last = number;
        assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    }
    scene.ctl(&["crl", "publish"]);
    assert!(crl_number(&scene.fetch_crl("issuing-1")) > last);
    wait_until("the watchdog finds nothing wrong", PATIENCE, || {
        let status = scene.rig.environment.signetctl(&["--json", "crl", "status"]);
        status.is_ok_and(|text| {
            let status: Value = serde_json::from_str(&text).expect("JSON");
            status["crls"].as_array().expect("a list").iter().any(|crl| crl["seen"]["fault"].is_null())
        })
    })
    .expect("a watchdog that is content");
}
