//! Every way to show control over a name, by every client that knows it.

use softhsm_tests::clients::{Certbot, Dehydrated, Instant, Lego, Proof, PythonAcme, Uacme, Ualpn, Web, judge};
use softhsm_tests::rig::{Options, Rig, down};

use crate::rig;

#[test]
fn wildcards_are_proved_by_dns_01() {
    let rig = rig();
    let issuer = rig.environment.get("SIGNET_ISSUER_FILE").as_ref();

    let certbot = Certbot::new(&rig, "certbot");
    certbot.prove(Proof::Dns, &["-d", "*.certbot.test", "-d", "certbot.test"]).success();
    let (leaf, chain) = certbot.certificate("certbot.test");
    judge(&rig, &leaf, &chain);

    let lego = Lego::new(&rig, &["*.lego.test", "lego.test"], Proof::Dns);
    lego.obtain().success();
    let (leaf, chain) = lego.certificate();
    judge(&rig, &leaf, &chain);

    let dehydrated = Dehydrated::new(&rig, rig.directory());
    dehydrated.register().success();
    dehydrated.obtain(&["*.dehydrated.test", "dehydrated.test"], Proof::Dns).success();
    let (leaf, chain) = dehydrated.certificate();
    judge(&rig, &leaf, &chain);

    let uacme = Uacme::new(&rig);
    uacme.register().success();
    uacme.obtain(&["*.uacme.test", "uacme.test"], Proof::Dns).success();
    judge(&rig, &uacme.certificate("uacme.test"), issuer);

    let instant = Instant::new(&rig);
    instant.register(None).success();
    instant.obtain("dns-01", &["*.instant.test", "instant.test"]).success();
    judge(&rig, &instant.certificate("*.instant.test"), issuer);
}

#[test]
fn names_are_proved_by_tls_alpn_01() {
    let rig = rig();
    let issuer = rig.environment.get("SIGNET_ISSUER_FILE").as_ref();

    let lego = Lego::new(&rig, &["lego.test"], Proof::TlsAlpn);
    lego.obtain().success();
    let (leaf, chain) = lego.certificate();
    judge(&rig, &leaf, &chain);

    let dehydrated = Dehydrated::new(&rig, rig.directory());
    dehydrated.register().success();
    dehydrated.obtain(&["dehydrated.test"], Proof::TlsAlpn).success();
    let (leaf, chain) = dehydrated.certificate();
    judge(&rig, &leaf, &chain);

    // Debian's python-acme has the object identifier of an early draft, which RFC 8737 replaced.
    let python = PythonAcme::new(&rig).run("python.test", Proof::TlsAlpn, None, &["register", "obtain"]);
    let refused = python.failure();
    assert!(refused.contains("obsolete object identifier 1.3.6.1.5.5.7.1.30.1"), "{refused}");

    let instant = Instant::new(&rig);
    instant.register(None).success();
    instant.obtain("tls-alpn-01", &["instant.test", "two.instant.test"]).success();

    let ualpn = Ualpn::start(&rig, &rig.directory().join("ualpn"));
    let uacme = Uacme::new(&rig).with_ualpn(&ualpn);
    uacme.register().success();
    uacme.obtain(&["uacme.test"], Proof::TlsAlpn).success();
    judge(&rig, &uacme.certificate("uacme.test"), issuer);
}

#[test]
fn addresses_are_proved_by_http_01_and_tls_alpn_01() {
    let rig = rig();
    let issuer = rig.environment.get("SIGNET_ISSUER_FILE").as_ref();

    let instant = Instant::new(&rig);
    instant.register(None).success();
    instant.obtain("http-01", &["127.0.0.1"]).success();
    judge(&rig, &instant.certificate("127.0.0.1"), issuer);
    instant.obtain("http-01", &["instant.test", "127.0.0.1"]).success();

    let other = Instant::named(&rig, "other");
    other.register(None).success();
    other.obtain("tls-alpn-01", &["127.0.0.1"]).success();

    let ualpn = Ualpn::start(&rig, &rig.directory().join("ualpn"));
    let web = Web::start(&rig, rig.directory());
    let uacme = Uacme::new(&rig).with_ualpn(&ualpn).with_web(&web);
    uacme.register().success();
    uacme.obtain(&["127.0.0.1"], Proof::TlsAlpn).success();
    judge(&rig, &uacme.certificate("127.0.0.1"), issuer);
    uacme.obtain(&["uacme.test", "127.0.0.1"], Proof::Http).success();
}

/// No client that can be had knows these two, though instant-acme lets a program answer challenges that
/// it does not know: where the records belong, and what they say, is our program's and this test's.
#[test]
fn names_are_proved_by_dns_account_01_and_dns_persist_01() {
    let settings = "[acme]\nchallenges = [\"http-01\", \"dns-account-01\", \"dns-persist-01\"]\n\
                    [validation]\ncaa_identities = [\"ca.example.test\"]\n";
    let options = Options { settings: Some(settings.to_owned()), ..Options::default() };
    let rig = Rig::start(&options);
    change_profile(&rig, &options, "methods = [", "methods = [\"dns-account-01\", \"dns-persist-01\", ");
    let instant = Instant::new(&rig);
    let account = instant.register(None).success();
    let account = account.lines().last().expect("the account's URL");
    instant.obtain("dns-account-01", &["*.account.test"]).success();
    let wrong = instant.obtain("tls-alpn-01", &["other.test"]).failure();
    assert!(wrong.contains("not offered"), "{wrong}");

    instant.obtain("dns-persist-01", &["early.persist.test"]).failure();
    let zone = format!(
        "* A 127.0.0.1\n\
         _validation-persist.persist.test TXT ca.example.test; accounturi={account}; policy=wildcard\n\
         _validation-persist.foreign.test TXT ca.example.test; accounturi={account}x; policy=wildcard\n"
    );
    std::fs::write(rig.layout.zone(), zone).expect("the zone");
    instant.obtain("dns-persist-01", &["*.persist.test", "persist.test"]).success();
    instant.obtain("dns-persist-01", &["foreign.test"]).failure();
}

/// Changes the profile that orders get, for both sides.
fn change_profile(rig: &Rig, options: &Options, old: &str, new: &str) {
    down(&rig.layout).expect("down");
    let file = rig.layout.config().join("profiles/server.toml");
    let text = std::fs::read_to_string(&file).expect("a profile");
    assert!(text.contains(old), "{text}");
    std::fs::write(&file, text.replace(old, new)).expect("a profile");
    rig.up(options);
}
