//! Clients that `make test` does not install: `make interop` does, and runs this.

use softhsm_tests::clients::{External, Node, Proof, is_revoked, judge, serial};
use softhsm_tests::rig::{Options, Rig};

#[test]
fn acme_client_of_npm_lives_the_whole_life_of_an_account() {
    if is_skipped() {
        return;
    }
    let settings = Some("[acme]\nexternal_accounts = \"required\"\n".to_owned());
    let rig = Rig::start(&Options { settings, ..Options::default() });
    let Some(node) = Node::installed(&rig) else {
        return softhsm_tests::skipped("npm cannot be reached");
    };
    let key = External::create(&rig, &["--reusable"]);
    let unbound = node.run(&["http.test"], Proof::Http, None, &["register"]).failure();
    assert!(unbound.contains("xternal"), "{unbound}");
    let (leaf, chain) = node.certificate();
    let steps = ["register", "obtain", "update", "rollover", "obtain", "revoke", "deactivate"];
    node.run(&["http.test", "two.http.test"], Proof::Http, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
    assert!(is_revoked(&rig, &serial(&leaf)));
    let steps = ["register", "obtain"];
    node.run(&["*.dns.test", "dns.test"], Proof::Dns, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
    node.run(&["tls.test"], Proof::TlsAlpn, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
}

fn is_skipped() -> bool {
    let skipped = std::env::var_os("SIGNET_INTEROP").is_none();
    if skipped {
        softhsm_tests::skipped("`make interop` installs what this needs");
    }
    skipped
}
