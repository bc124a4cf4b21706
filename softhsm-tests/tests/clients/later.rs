//! What is younger than RFC 8555: profiles, renewal information (RFC 9773) and addresses (RFC 8738),
//! by the clients that know of it.

use std::time::{SystemTime, UNIX_EPOCH};

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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
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
    assert!(now + 86_400 < start && end < now + 90 * 86_400, "{start} to {end}");

    let revoked = serial(&instant.certificate(name));
    rig.environment.signetctl(&["cert", "revoke", &revoked, "--reason", "superseded"]).expect("revoked");
    assert!(window().1 <= now + 60, "who asks is told to renew at once");
    // The second is another certificate of the same file's name; a copy of the first is kept for a second try.
    let copy = instant.certificate("copy.test");
    std::fs::copy(instant.certificate(name), copy).expect("a copy");
    instant.obtain("http-01", &[name, "--replaces", name]).success();
    assert!(window().0 > now + 86_400);
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
    let profile = |serial: &str| {
        let shown = rig.environment.signetctl(&["--json", "cert", "show", serial]).expect("signetctl cert show");
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["profile"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
    };
    assert_eq!((profile(&kept), profile(&revoked)), ("server".to_owned(), "shortlived".to_owned()));
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
