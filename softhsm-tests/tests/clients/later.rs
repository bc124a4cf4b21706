//! What is younger than RFC 8555: profiles, renewal information (RFC 9773) and addresses (RFC 8738),
//! by the clients that know of it.

use softhsm_tests::clients::{Certbot, Instant, Proof, judge, serial};
use softhsm_tests::rig::{Options, Rig};

const WITHOUT_PYPI: &str =
    "certbot 5 is not in target/certbot: `tools/setup test` installs it where PyPI can be reached";

fn rig_with_profiles() -> Rig {
    let settings = Some("[acme]\nprofiles = [\"server\", \"shortlived\"]\n".to_owned());
    Rig::start(&Options { settings, ..Options::default() })
}

#[test]
fn instant_acme_chooses_a_profile() {
    let rig = rig_with_profiles();
    let instant = Instant::new(&rig);
    instant.register(None).success();
    let offered = instant.run(&["profiles"]).success();
    assert!(offered.contains("server: ") && offered.contains("shortlived: "), "{offered}");
    let name = "profile.test";
    let order = instant.obtain("http-01", &[name, "--profile", "shortlived"]).success();
    assert!(order.trim_end().ends_with(" shortlived"), "{order}");
    let order = instant.obtain("http-01", &[name]).success();
    assert!(order.trim_end().ends_with(" server"), "the order shows the profile that it got: {order}");
    let refused = instant.obtain("http-01", &[name, "--profile", "client"]).failure();
    assert!(refused.contains("invalidProfile"), "{refused}");
}

#[test]
fn instant_acme_renews_when_it_is_told_to() {
    let rig = rig_with_profiles();
    let instant = Instant::new(&rig);
    instant.register(None).success();
    let name = "renewal.test";
    instant.obtain("http-01", &[name]).success();
    let (revoked, not_before, not_after) = validity(&rig, &serial(&instant.certificate(name)));
    assert_eq!(revoked, None);
    let window = || {
        let text = instant.run(&["renewal-info", name]).success();
        let last = text.lines().last().unwrap_or_default().to_owned();
        let [start, end, again]: [u64; 3] = last
            .split(' ')
            .filter_map(|number| number.parse().ok())
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("{text}"));
        assert!(start < end && again > 0, "{text}");
        (start, end)
    };
    let (start, end) = window();
    assert!(not_before + 86_400 < start && end <= not_after, "{start} to {end}");

    let revoked = serial(&instant.certificate(name));
    rig.environment.signetctl(&["cert", "revoke", &revoked, "--reason", "superseded"]).expect("revoked");
    let (at, ..) = validity(&rig, &revoked);
    assert!(window().1 <= at.expect("a time"), "who asks is told to renew at once");
    // The second is another certificate of the same file's name; a copy of the first is kept for a second try.
    let copy = instant.certificate("copy.test");
    std::fs::copy(instant.certificate(name), copy).expect("a copy");
    instant.obtain("http-01", &[name, "--replaces", name]).success();
    assert!(window().0 > not_before + 86_400);
    let again = instant.obtain("http-01", &[name, "--replaces", "copy.test"]).failure();
    assert!(again.contains("alreadyReplaced"), "{again}");
}

#[test]
fn certbot_5_renews_when_it_is_told_to_and_chooses_a_profile() {
    let rig = rig_with_profiles();
    let Some(certbot) = Certbot::later(&rig, "certbot") else {
        return softhsm_tests::skipped(WITHOUT_PYPI);
    };
    let names = ["kept.test", "revoked.test"];
    certbot.obtain(names[0]).success();
    certbot.prove(Proof::Http, &["-d", names[1], "--required-profile", "shortlived"]).success();
    let [kept, revoked] = names.map(|name| serial(&certbot.certificate(name).0));
    judge(&rig, &certbot.certificate(names[1]).0, &certbot.certificate(names[1]).1);
    assert_eq!(shown(&rig, &kept)["profile"], "server");
    assert_eq!(shown(&rig, &revoked)["profile"], "shortlived");
    certbot.prove(Proof::Http, &["-d", "preferred.test", "--preferred-profile", "gone"]).success();
    let refused = certbot.prove(Proof::Http, &["-d", "required.test", "--required-profile", "gone"]).failure();
    assert!(refused.contains("gone"), "{refused}");

    // Nobody forces it: the renewal information is all that it has to go by.
    rig.environment.signetctl(&["cert", "revoke", &revoked, "--reason", "superseded"]).expect("revoked");
    certbot.renew_if_due().success();
    assert_ne!(serial(&certbot.certificate(names[1]).0), revoked, "what was revoked is renewed");
    assert_eq!(serial(&certbot.certificate(names[0]).0), kept, "what was not is kept");
}

#[test]
fn certbot_5_obtains_for_addresses_and_wildcards_and_revokes() {
    let rig = rig_with_profiles();
    let Some(certbot) = Certbot::later(&rig, "certbot") else {
        return softhsm_tests::skipped(WITHOUT_PYPI);
    };
    certbot.prove(Proof::Http, &["--ip-address", "127.0.0.1"]).success();
    let (leaf, chain) = certbot.certificate("127.0.0.1");
    judge(&rig, &leaf, &chain);
    certbot.prove(Proof::Dns, &["-d", "*.certbot.test", "-d", "certbot.test"]).success();
    certbot.revoke("127.0.0.1").success();
    certbot.revoke_by_key("certbot.test").success();
    certbot.update_account("other@example.test").success();
    certbot.unregister().success();
}

/// When a certificate was revoked, if it was, and between which times it is valid.
fn validity(rig: &Rig, serial: &str) -> (Option<u64>, u64, u64) {
    let shown = shown(rig, serial);
    let time = |member: &str| shown[member].as_u64().unwrap_or_else(|| panic!("{shown}"));
    (shown["revoked"]["at"].as_u64(), time("not_before"), time("not_after"))
}

fn shown(rig: &Rig, serial: &str) -> serde_json::Value {
    let shown = rig.environment.signetctl(&["--json", "cert", "show", serial]).expect("signetctl cert show");
    serde_json::from_str(&shown).expect("JSON")
}
