//! CAA (RFC 8659, RFC 8657).

use serde_json::{Value, json};

use crate::der::csr;
use crate::jose::Key;
use crate::peer::{Judged, Peer, challenge, text};
use crate::world::World;

crate::checks! {
    "C-01" => the_first_set_that_is_not_empty_decides,
    "C-02" => issue_and_issuewild_decide_for_names_and_wildcards,
    "C-03" => unknown_critical_tags_refuse,
    "C-04" => failures_of_dns_refuse,
    "C-06" => accounturi_is_the_accounts_url,
    "C-07" => validationmethods_lists_the_method,
    "C-08" => addresses_have_no_caa,
}

/// Whether a name can be issued for: its certificate's order, or the error that ended it. The proof
/// itself always succeeds.
fn issue(peer: &mut Peer<'_>, name: &str, kind: &str) -> Result<(), Value> {
    let world = peer.world;
    let order = peer.order(&[name]);
    let (url, authorization) = peer.authorization(&order);
    let one = challenge(&authorization, kind);
    match kind {
        "http-01" => world.http.offer(&text(&one["token"]), peer.key_authorization(&text(&one["token"]))),
        _ => world.dns.add(&format!("_acme-challenge.{} TXT {}", name.trim_start_matches("*."), peer.digest(&one))),
    }
    peer.done(&text(&one["url"]), &json!({}));
    if peer.poll(&url, &["valid", "invalid"])["status"] == "invalid" {
        return Err(peer.read(&text(&one["url"]))["error"].clone());
    }
    let answer = peer.finalize(&order, &csr(&Key::p256(), &[name]));
    if answer.status != 200 {
        return Err(answer.refused());
    }
    let end = peer.poll(&order.url, &["valid", "invalid"]);
    if end["status"] == "valid" { Ok(()) } else { Err(end["error"].clone()) }
}

/// Whether `name` with these lines (`@` stands for it) can be issued for.
#[track_caller]
fn judged(peer: &mut Peer<'_>, name: &str, kind: &str, lines: &str, allowed: bool) {
    peer.world.dns.add(&lines.replace('@', name.trim_start_matches("*.")).replace("ACCOUNT", &peer.kid()));
    match (issue(peer, name, kind), allowed) {
        (Ok(()), true) => {}
        (Err(error), false) => {
            assert!(
                text(&error["type"]).ends_with(":caa") || text(&error["type"]).ends_with(":dns"),
                "{lines}: {error}"
            );
            assert!(text(&error["detail"]).contains("CAA"), "{error}");
        }
        (outcome, _) => panic!("{lines:?} for {name}: {outcome:?}"),
    }
}

fn the_first_set_that_is_not_empty_decides(world: &World) {
    let mut peer = world.account();
    let ours = "CAA 0 issue ca.example.test";
    let other = "CAA 0 issue other.example.test";
    // Parents, as far as the top-level domain.
    for (child, parent, allowed) in [
        (None, Some(ours), true),
        (None, Some(other), false),
        (Some(ours), Some(other), true),
        (Some(other), Some(ours), false),
    ] {
        let zone = world.name("climb");
        let name = format!("a.b.{zone}");
        let lines: Vec<String> = [child.map(|caa| format!("{name} {caa}")), parent.map(|caa| format!("{zone} {caa}"))]
            .into_iter()
            .flatten()
            .collect();
        judged(&mut peer, &name, "http-01", &lines.join("\n"), allowed);
    }
    // An alias: the records of its target.
    for (caa, allowed) in [(ours, true), (other, false)] {
        let (name, target) = (world.name("alias"), world.name("target"));
        judged(
            &mut peer,
            &name,
            "http-01",
            &format!("{name} CNAME {target}\n{target} A 127.0.0.1\n{target} {caa}"),
            allowed,
        );
    }
    let name = world.name("climb");
    judged(&mut peer, &format!("x.{name}"), "http-01", "", true);
    let asked = world.dns.asked();
    for asked_for in [format!("x.{name} CAA"), format!("{name} CAA"), "example.test CAA".into()] {
        assert!(asked.contains(&asked_for), "{asked_for}");
    }
}

fn issue_and_issuewild_decide_for_names_and_wildcards(world: &World) {
    let mut peer = world.account();
    let plain = [
        ("@ CAA 0 issue ca.example.test", true),
        ("@ CAA 0 ISSUE CA.Example.TEST", true),
        ("@ CAA 0 issue \" ca.example.test ; \"", true),
        ("@ CAA 0 issue other.example.test\n@ CAA 0 issue ca.example.test", true),
        ("@ CAA 0 issue ;", false),
        ("@ CAA 0 issue \"\"", false),
        ("@ CAA 0 issue other.example.test", false),
        ("@ CAA 0 issue x.ca.example.test", false),
        ("@ CAA 0 issuewild ;", true),
        ("@ CAA 0 iodef https://report.example.test/", true),
    ];
    for (lines, allowed) in plain {
        judged(&mut peer, &world.name("issue"), "http-01", lines, allowed);
    }
    let wild = [
        ("@ CAA 0 issuewild ca.example.test", true),
        ("@ CAA 0 issue ca.example.test", true),
        ("@ CAA 0 issue ca.example.test\n@ CAA 0 issuewild ;", false),
        ("@ CAA 0 issue ;\n@ CAA 0 issuewild ca.example.test", true),
        ("@ CAA 0 issue ;", false),
    ];
    for (lines, allowed) in wild {
        judged(&mut peer, &format!("*.{}", world.name("issuewild")), "dns-01", lines, allowed);
    }
}

fn unknown_critical_tags_refuse(world: &World) {
    let mut peer = world.account();
    for (lines, allowed) in [
        ("@ CAA 128 future x\n@ CAA 0 issue ca.example.test", false),
        ("@ CAA 0 future x\n@ CAA 0 issue ca.example.test", true),
        ("@ CAA 0 future x", true),
        ("@ CAA 128 issue ca.example.test", true),
        // Only bit 0 says so (RFC 8659 section 4.1).
        ("@ CAA 1 future x\n@ CAA 0 issue ca.example.test", true),
    ] {
        judged(&mut peer, &world.name("critical"), "http-01", lines, allowed);
    }
}

fn failures_of_dns_refuse(world: &World) {
    let mut peer = world.account();
    for (lines, allowed) in [
        ("@ SERVFAIL CAA", false),
        ("@ REFUSED CAA", false),
        ("@ GARBAGE CAA", false),
        ("@ SILENT CAA", false),
        ("@ NXDOMAIN CAA", true),
        ("", true),
    ] {
        judged(&mut peer, &world.name("failure"), "http-01", lines, allowed);
    }
    // The parent's failure counts as well.
    let zone = world.name("failure");
    let name = format!("a.{zone}");
    judged(&mut peer, &name, "http-01", &format!("{zone} SERVFAIL CAA"), false);
}

fn accounturi_is_the_accounts_url(world: &World) {
    let mut peer = world.account();
    for (lines, allowed) in [
        ("@ CAA 0 issue \"ca.example.test; accounturi=ACCOUNT\"", true),
        ("@ CAA 0 issue \"ca.example.test;accounturi=ACCOUNT\"", true),
        ("@ CAA 0 issue \"ca.example.test; accounturi=ACCOUNTx\"", false),
        ("@ CAA 0 issue \"ca.example.test; accounturi=https://elsewhere.example.test/acme/account/1\"", false),
        ("@ CAA 0 issue \"ca.example.test; accounturi=\"", false),
        (
            "@ CAA 0 issue \"ca.example.test; accounturi=https://other.test/\"\n@ CAA 0 issue \"ca.example.test; accounturi=ACCOUNT\"",
            true,
        ),
    ] {
        judged(&mut peer, &world.name("accounturi"), "http-01", lines, allowed);
    }
}

fn validationmethods_lists_the_method(world: &World) {
    let mut peer = world.account();
    let of = |parameters: &str| format!("@ CAA 0 issue \"ca.example.test; {parameters}\"");
    for (parameters, kind, allowed) in [
        ("validationmethods=http-01", "http-01", true),
        ("validationmethods=http-01", "dns-01", false),
        ("validationmethods=dns-01,http-01", "http-01", true),
        ("validationmethods=dns-01,http-01", "dns-01", true),
        ("validationmethods=dns-01", "http-01", false),
        ("validationmethods=", "http-01", false),
        ("validationmethods=http-01 dns-01", "http-01", false),
        ("validationmethods=,http-01", "http-01", false),
        ("validationmethods=http-01; validationmethods=http-01", "http-01", false),
        ("validationmethods=http-01; accounturi=ACCOUNT", "http-01", true),
        ("validationmethods=http-01; accounturi=ACCOUNTx", "http-01", false),
        ("accounturi=ACCOUNT; accounturi=ACCOUNT", "http-01", false),
        ("http-01", "http-01", false),
        ("unknown=1", "http-01", true),
    ] {
        judged(&mut peer, &world.name("methods"), kind, &of(parameters), allowed);
    }
}

fn addresses_have_no_caa(world: &World) {
    let mut peer = world.account();
    let before = world.dns.asked().len();
    peer.issue(&["127.0.0.1"]);
    let asked: Vec<String> = world.dns.asked().into_iter().skip(before).collect();
    assert!(!asked.iter().any(|asked| asked.contains("127.0.0.1") || asked.contains("arpa")), "{asked:?}");
}
