//! A new key for an account (RFC 8555 section 7.3.5), by every client that can do it.

use softhsm_tests::clients::{Instant, Proof, PythonAcme, Uacme, Web};

use crate::rig;

#[test]
fn accounts_live_on_with_another_key() {
    let rig = rig();
    let instant = Instant::new(&rig);
    instant.register(None).success();
    let name = "instant.example.test";
    instant.obtain("http-01", &[name]).success();
    instant.run(&["rollover"]).success();
    // The order of before is still this account's, and so is its certificate.
    instant.run(&["revoke", name]).success();
    instant.obtain("http-01", &[name]).success();

    // The script looks whether the old key is refused.
    let python = PythonAcme::new(&rig);
    let steps = ["register", "rollover", "obtain", "revoke", "deactivate"];
    python.run("python.example.test", Proof::Http, None, &steps).success();

    let web = Web::start(&rig, rig.directory());
    let uacme = Uacme::new(&rig).with_web(&web);
    uacme.register().success();
    uacme.rollover().success();
    uacme.obtain(&["uacme.example.test"], Proof::Http).success();
    uacme.rollover().success();
    uacme.revoke(&uacme.certificate("uacme.example.test")).success();
}
