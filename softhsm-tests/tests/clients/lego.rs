use softhsm_tests::clients::{Lego, Proof, is_revoked, judge, serial};

use crate::rig;

#[test]
fn lego_obtains_renews_and_revokes() {
    let rig = rig();
    // In the order of the certificate: this lego names what it renews by the first name it finds there.
    let lego = Lego::new(&rig, &["lego-1.example.test", "lego-2.example.test"], Proof::Http);
    lego.obtain().success();
    let (leaf, chain) = lego.certificate();
    judge(&rig, &leaf, &chain);
    let first = serial(&leaf);
    lego.renew().success();
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    lego.revoke().success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
}
