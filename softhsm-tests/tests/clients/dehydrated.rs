use softhsm_tests::clients::{Dehydrated, Proof, Web, is_revoked, judge, serial};

use crate::rig;

#[test]
fn dehydrated_obtains_renews_and_revokes() {
    let rig = rig();
    let web = Web::start(&rig, rig.directory());
    let dehydrated = Dehydrated::new(&rig, web.root());
    dehydrated.register().success();
    dehydrated.obtain(&["dehydrated.example.test"], Proof::Http).success();
    let (leaf, chain) = dehydrated.certificate();
    judge(&rig, &leaf, &chain);
    let first = serial(&leaf);
    dehydrated.update_account("other@example.test").success();
    dehydrated.obtain(&["dehydrated.example.test"], Proof::Http).success();
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    dehydrated.revoke().success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
}
