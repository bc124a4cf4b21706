use softhsm_tests::clients::{Instant, is_revoked, judge, serial};

use crate::rig;

#[test]
fn instant_acme_obtains_renews_revokes_and_closes_its_account() {
    let rig = rig();
    let instant = Instant::new(&rig);
    instant.register(None).success();
    let name = "instant.example.test";
    instant.obtain("http-01", &[name, "instant-2.example.test"]).success();
    let leaf = instant.certificate(name);
    judge(&rig, &leaf, rig.environment.get("SIGNET_ISSUER_FILE").as_ref());
    let first = serial(&leaf);
    instant.run(&["update", "other@example.test"]).success();
    instant.obtain("http-01", &[name]).success();
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    instant.run(&["revoke", name]).success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
    instant.run(&["deactivate"]).success();
    let refused = instant.obtain("http-01", &[name]).failure();
    assert!(refused.contains("unauthorized"), "{refused}");
}
