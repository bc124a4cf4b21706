use softhsm_tests::clients::{Proof, Uacme, Web, is_revoked, judge, serial};

use crate::rig;

#[test]
fn uacme_obtains_renews_revokes_both_ways_and_closes_its_account() {
    let rig = rig();
    let web = Web::start(&rig, rig.directory());
    let uacme = Uacme::new(&rig).with_web(&web);
    uacme.register().success();
    let name = "uacme.example.test";
    uacme.obtain(&[name], Proof::Http).success();
    let leaf = uacme.certificate(name);
    judge(&rig, &leaf, rig.environment.get("SIGNET_ISSUER_FILE").as_ref());
    let first = serial(&leaf);
    uacme.account(&["update", "other@example.test"]).success();
    uacme.obtain(&[name], Proof::Http).success();
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    uacme.revoke(&leaf).success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));

    uacme.obtain(&[name], Proof::Http).success();
    let third = serial(&leaf);
    uacme.account(&["deactivate"]).success();
    uacme.obtain(&["late.example.test"], Proof::Http).failure();
    uacme.revoke_by_key(&leaf, &uacme.key(name)).success();
    assert!(is_revoked(&rig, &third));
}
