//! External account binding (RFC 8555 section 7.3.4), by every client that has it.

use softhsm_tests::clients::{Certbot, Dehydrated, External, Instant, Lego, Proof, PythonAcme, Uacme, Web};
use softhsm_tests::rig::{Options, Rig};

#[test]
fn every_client_binds_its_account_where_that_is_required() {
    let settings = Some("[acme]\nexternal_accounts = \"required\"\n".to_owned());
    let rig = Rig::start(&Options { settings, ..Options::default() });
    let key = || External::create(&rig, &["--name", ".bound.test"]);

    let unbound = Certbot::new(&rig, "unbound").obtain("certbot.bound.test").failure();
    assert!(unbound.contains("xternal"), "{unbound}");
    let certbot = Certbot::new(&rig, "certbot").bound(key());
    certbot.obtain("certbot.bound.test").success();
    let refused = certbot.obtain("certbot.free.test").failure();
    assert!(refused.contains("certbot.free.test"), "{refused}");

    let unbound = Lego::new(&rig, &["lego.bound.test"], Proof::Http).obtain().failure();
    assert!(unbound.contains("External Account Binding"), "{unbound}");
    let lego = Lego::new(&rig, &["lego.bound.test"], Proof::Http).bound(key());
    lego.obtain().success();

    let python = PythonAcme::new(&rig);
    let steps = ["register", "obtain"];
    let unbound = python.run("python.bound.test", Proof::Http, None, &steps).failure();
    assert!(unbound.contains("externalAccountRequired"), "{unbound}");
    python.run("python.bound.test", Proof::Http, Some(&key()), &steps).success();

    let instant = Instant::new(&rig);
    let unbound = instant.register(None).failure();
    assert!(unbound.contains("externalAccountRequired"), "{unbound}");
    let external = key();
    instant.register(Some(&external)).success();
    instant.obtain("http-01", &["instant.bound.test"]).success();
    let used = instant.register(Some(&external)).failure();
    assert!(used.contains("used"), "{used}");

    let web = Web::start(&rig, rig.directory());
    let dehydrated = Dehydrated::bound(&rig, web.root(), &key());
    dehydrated.register().success();
    dehydrated.obtain(&["dehydrated.bound.test"], Proof::Http).success();

    let uacme = Uacme::new(&rig).with_web(&web).bound(key());
    uacme.register().success();
    uacme.obtain(&["uacme.bound.test"], Proof::Http).success();
}
