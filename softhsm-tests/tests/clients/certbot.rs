use softhsm_tests::clients::{Certbot, is_revoked, judge, judge_ca, serial};

use crate::rig;

#[test]
fn certbot_obtains_renews_and_revokes() {
    let rig = rig();
    let certbot = Certbot::new(&rig, "certbot");
    let name = "certbot.example.test";
    certbot.obtain(name).success();
    let (leaf, chain) = certbot.certificate(name);
    judge(&rig, &leaf, &chain);
    judge_ca(&rig);
    let first = serial(&leaf);
    certbot.renew().success();
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    assert!(!is_revoked(&rig, &second));
    certbot.revoke(name).success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
    certbot.obtain("again.example.test").success();
}

#[test]
fn certbot_revokes_with_the_certificates_key_and_closes_its_account() {
    let rig = rig();
    let certbot = Certbot::new(&rig, "certbot");
    let name = "key.example.test";
    certbot.obtain(name).success();
    let serial = serial(&certbot.certificate(name).0);
    certbot.update_account("other@example.test").success();
    // Somebody who has the certificate's key and no account.
    certbot.unregister().success();
    certbot.revoke_by_key(name).success();
    assert!(is_revoked(&rig, &serial));
}
