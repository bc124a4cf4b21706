use softhsm_tests::clients::{Proof, PythonAcme, is_revoked, judge, serial};

use crate::rig;

#[test]
fn python_acme_lives_the_whole_life_of_an_account() {
    let rig = rig();
    let python = PythonAcme::new(&rig);
    let steps = ["register", "again", "obtain", "update", "revoke", "deactivate"];
    python.run("python.example.test", Proof::Http, None, &steps).success();
    let (leaf, chain) = python.certificate();
    judge(&rig, &leaf, &chain);
    assert!(is_revoked(&rig, &serial(&leaf)));
    let steps = ["register", "obtain", "revoke_by_key"];
    python.run("key.example.test", Proof::Http, None, &steps).success();
    assert!(is_revoked(&rig, &serial(&leaf)));
}
