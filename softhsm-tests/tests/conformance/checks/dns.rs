//! dns-01 (RFC 8555 section 8.4), dns-account-01, dns-persist-01.

use serde_json::{Value, json};

use crate::jose::sha256;
use crate::peer::{Judged, Peer, assert_failed, challenge, text, texts};
use crate::world::World;

crate::checks! {
    "A-088" => dns01_takes_any_of_several_values_and_follows_aliases,
    "A-086 A-088" => dns01_says_what_it_found,
    "A-089" => a_wildcard_and_its_base_get_along,
    "A-094" => truncated_answers_are_asked_for_over_tcp,
    "D-01" => dns_account_01_is_at_a_label_of_the_account,
    "X-01 X-02" => dns_persist_01_names_issuer_and_account,
    "X-03" => dns_persist_01_judges_each_record,
    "X-04" => dns_persist_01_speaks_for_wildcards_and_ends_in_time_only_if_it_says_so,
}

fn at(name: &str) -> String {
    format!("_acme-challenge.{name}")
}

fn dns01_takes_any_of_several_values_and_follows_aliases(world: &World) {
    let mut peer = world.account();
    let name = world.name("several");
    let valid = peer.attempt(&name, "dns-01", |peer, one| {
        world.dns.add(&format!("{0} TXT other\n{0} TXT {1}\n{0} TXT \"third value\"", at(&name), peer.digest(one)));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    assert!(world.dns.asked().contains(&format!("{} TXT", at(&name))));
    let (name, target) = (world.name("alias"), world.name("target"));
    let valid = peer.attempt(&name, "dns-01", |peer, one| {
        world.dns.add(&format!("{} CNAME {target}\n{target} TXT {}", at(&name), peer.digest(one)));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    // A loop ends.
    let name = world.name("loop");
    let invalid = peer.attempt(&name, "dns-01", |_, _| world.dns.add(&format!("{0} CNAME {0}", at(&name))));
    assert_failed(&invalid, &["dns"], &[&name]);
}

fn dns01_says_what_it_found(world: &World) {
    let (mut peer, other) = (world.account(), world.account());
    type Record<'a> = &'a dyn Fn(&Peer<'_>, &Value) -> String;
    let wrong: [(&str, Record<'_>); 5] = [
        ("another account's", &|_, one| other.digest(one)),
        ("the key authorization itself", &|peer, one| peer.key_authorization(&text(&one["token"]))),
        ("another case", &|peer, one| peer.digest(one).to_lowercase()),
        ("more behind it", &|peer, one| format!("{}=", peer.digest(one))),
        ("several in one", &|peer, one| format!("other {}", peer.digest(one))),
    ];
    for (what, record) in wrong {
        let name = world.name("txt");
        let invalid = peer.attempt(&name, "dns-01", |peer, one| {
            world.dns.add(&format!("{} TXT \"{}\"", at(&name), record(peer, one)));
        });
        assert_eq!(invalid["status"], "invalid", "{what}");
        assert_failed(&invalid, &["incorrectResponse", "unauthorized"], &[&at(&name)]);
    }
    // The record at another place: at the name itself.
    let name = world.name("txt");
    let invalid = peer.attempt(&name, "dns-01", |peer, one| {
        world.dns.add(&format!("{name} TXT {}\n{} NXDOMAIN", peer.digest(one), at(&name)));
    });
    assert_failed(&invalid, &["dns", "unauthorized", "incorrectResponse"], &[&at(&name)]);
    for fault in ["SERVFAIL", "REFUSED"] {
        let name = world.name("txt");
        let invalid = peer.attempt(&name, "dns-01", |_, _| world.dns.add(&format!("{} {fault}", at(&name))));
        assert_failed(&invalid, &["dns"], &[&at(&name)]);
    }
}

fn a_wildcard_and_its_base_get_along(world: &World) {
    let mut peer = world.account();
    let name = world.name("both");
    let wild = format!("*.{name}");
    let order = peer.order(&[&name, &wild]);
    let urls = texts(&order.object["authorizations"]);
    let challenges: Vec<Value> = urls.iter().map(|url| challenge(&peer.read(url), "dns-01")).collect();
    assert_ne!(challenges[0]["token"], challenges[1]["token"]);
    for one in &challenges {
        world.dns.add(&format!("{} TXT {}", at(&name), peer.digest(one)));
    }
    for one in &challenges {
        peer.done(&text(&one["url"]), &json!({}));
    }
    for url in &urls {
        peer.poll(url, &["valid"]);
    }
    assert!(!world.dns.asked().iter().any(|asked| asked.contains('*')), "the base is asked for");
    let key = crate::jose::Key::p256();
    peer.finalize(&order, &crate::der::csr(&key, &[&name, &wild])).ok();
    peer.download(order, key);
    // The base's proof is not the wildcard's.
    let lone = world.name("lone");
    let order = peer.order(&[&lone]);
    peer.prove(&order);
    assert_eq!(peer.order(&[&format!("*.{lone}")]).object["status"], "pending");
}

fn truncated_answers_are_asked_for_over_tcp(world: &World) {
    let mut peer = world.account();
    let name = world.name("large");
    let valid = peer.attempt(&name, "dns-01", |peer, one| {
        let record = at(&name);
        world.dns.add(&format!("{record} TRUNCATED TXT\n{record} TXT {}", peer.digest(one)));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    assert!(world.dns.asked().contains(&format!("{} TXT tcp", at(&name))), "{:?}", world.dns.asked());
}

/// RFC 4648 section 6, in lower case, of ten octets.
fn base32(octets: &[u8]) -> String {
    let bits: String = octets.iter().map(|octet| format!("{octet:08b}")).collect();
    let digit = |at: usize| {
        let value = usize::from_str_radix(&bits[at..at + 5], 2).expect("binary digits");
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[value])
    };
    (0..bits.len()).step_by(5).map(digit).collect()
}

fn dns_account_01_is_at_a_label_of_the_account(world: &World) {
    let label = |url: &str| format!("_{}", base32(&sha256(url.as_bytes())[..10]));
    assert_eq!(label("https://example.com/acme/acct/ExampleAccount"), "_ujmmovf2vn55tgye", "the draft's own example");
    let (mut peer, mut other) = (world.account(), world.account());
    let name = world.name("account");
    let place = |peer: &Peer<'_>| format!("{}.{}", label(&peer.kid()), at(&name));
    let valid = peer.attempt(&name, "dns-account-01", |peer, one| {
        world.dns.add(&format!("{} TXT {}", place(peer), peer.digest(one)));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    // Another account has another label.
    let elsewhere = place(&peer);
    let invalid = other.attempt(&name, "dns-account-01", |other, one| {
        world.dns.add(&format!("{elsewhere} TXT {}\n{} TXT {}", other.digest(one), at(&name), other.digest(one)));
    });
    assert_eq!(invalid["status"], "invalid", "{invalid}");
    assert_failed(&invalid, &["incorrectResponse", "unauthorized", "dns"], &[&place(&other), &other.kid()]);
}

fn persist(name: &str) -> String {
    format!("_validation-persist.{name}")
}

fn dns_persist_01_names_issuer_and_account(world: &World) {
    let mut peer = world.account();
    let name = world.name("persist");
    let order = peer.order(&[&name]);
    let (url, authorization) = peer.authorization(&order);
    let one = challenge(&authorization, "dns-persist-01");
    assert!(one.get("token").is_none(), "no token: {one}");
    let issuers = texts(&one["issuer-domain-names"]);
    assert_eq!(issuers, ["ca.example.test"]);
    let valid = peer.answer(&one, |peer, _| {
        world.dns.add(&format!("{} TXT \"ca.example.test; accounturi={}\"", persist(&name), peer.kid()));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    assert_eq!(peer.read(&url)["status"], "valid");
    for wrong in [
        "other.example.test; accounturi=ACCOUNT",
        "ca.example.test; accounturi=https://elsewhere.example.test/acme/account/1",
        "ca.example.test; accounturi=ACCOUNTx",
        "ca.example.test",
    ] {
        let name = world.name("persist");
        let invalid = peer.attempt(&name, "dns-persist-01", |peer, _| {
            world.dns.add(&format!("{} TXT \"{}\"", persist(&name), wrong.replace("ACCOUNT", &peer.kid())));
        });
        assert_failed(&invalid, &["unauthorized", "malformed"], &[&persist(&name)]);
    }
}

fn dns_persist_01_judges_each_record(world: &World) {
    let mut peer = world.account();
    let (issuer, kid) = ("ca.example.test", peer.kid());
    let good = format!("{issuer}; accounturi={kid}");
    for (records, end) in [
        (vec![format!("{good}; unknown=1")], "valid"),
        (vec!["nonsense".into(), format!("other.example.test; accounturi={kid}"), good.clone()], "valid"),
        (vec![format!("{issuer}; accounturi={kid}; accounturi={kid}")], "malformed"),
        (vec![format!("{issuer}; accounturi={kid}; persistUntil=soon")], "malformed"),
        (vec![format!("{issuer}; accounturi={kid};; x")], "malformed"),
        (vec![format!("{issuer}; accounturi={kid}; persistUntil=1")], "unauthorized"),
        (vec![format!("other.example.test; accounturi={kid}")], "unauthorized"),
    ] {
        let name = world.name("judged");
        let lines: Vec<String> = records.iter().map(|record| format!("{} TXT \"{record}\"", persist(&name))).collect();
        let done = peer.attempt(&name, "dns-persist-01", |_, _| world.dns.add(&lines.join("\n")));
        match end {
            "valid" => assert_eq!(done["status"], "valid", "{records:?}: {done}"),
            kind => assert_failed(&done, &[kind], &[&persist(&name)]),
        }
    }
}

fn dns_persist_01_speaks_for_wildcards_and_ends_in_time_only_if_it_says_so(world: &World) {
    let mut peer = world.account();
    let record = |peer: &Peer<'_>, more: &str| format!("TXT \"ca.example.test; accounturi={}{more}\"", peer.kid());
    for (more, end) in [("", "invalid"), ("; policy=wildcard", "valid"), ("; policy=other", "invalid")] {
        let name = world.name("persist-wild");
        let done = peer.attempt(&format!("*.{name}"), "dns-persist-01", |peer, _| {
            world.dns.add(&format!("{} {}", persist(&name), record(peer, more)));
        });
        assert_eq!(done["status"], end, "{more}: {done}");
    }
    for (until, end) in [("4102444800", "valid"), ("1000000000", "invalid")] {
        let name = world.name("persist-until");
        let done = peer.attempt(&name, "dns-persist-01", |peer, _| {
            world.dns.add(&format!("{} {}", persist(&name), record(peer, &format!("; persistUntil={until}"))));
        });
        assert_eq!(done["status"], end, "{until}: {done}");
    }
    // The TTL limits how long the proof is good.
    let name = world.name("persist-ttl");
    let order = peer.order(&[&name]);
    let (url, authorization) = peer.authorization(&order);
    let done = peer.answer(&challenge(&authorization, "dns-persist-01"), |peer, _| {
        world.dns.add(&format!("{} 3600 {}", persist(&name), record(peer, "")));
    });
    assert_eq!(done["status"], "valid", "{done}");
    let expires = text(&peer.read(&url)["expires"]);
    let seconds = |text: &str| {
        let output = std::process::Command::new("date").args(["-u", "-d", text, "+%s"]).output().expect("date");
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().expect("seconds")
    };
    assert!(seconds(&expires) - seconds("now") <= 3601, "{expires}");
}
