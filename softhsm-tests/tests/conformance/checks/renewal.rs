//! Renewal information (RFC 9773) and profiles (draft-ietf-acme-profiles-00).

use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::der::csr;
use crate::jose::{Key, encode};
use crate::peer::{Issued, Judged, Order, text};
use crate::world::World;

crate::checks! {
    "R-01 R-02 R-03" => a_certificate_has_a_window_that_stays,
    "R-03" => a_revoked_certificate_is_due_at_once,
    "R-04" => what_is_no_certificate_has_no_window,
    "R-05" => a_certificate_is_replaced_once_by_its_account,
    "P-01 P-02 P-04" => an_order_has_the_profile_it_names,
}

pub(crate) mod alone {
    //! What changes profiles and limits.
    use super::*;

    crate::checks! {
        "P-03" => a_profile_that_is_withdrawn_is_refused_at_finalize,
        "R-06" => a_replacement_is_exempt_from_the_limits_on_orders,
    }

    fn a_profile_that_is_withdrawn_is_refused_at_finalize(world: &World) {
        let (mut peer, name) = (world.account(), world.name("withdrawn"));
        let answer = peer.ask(&[&name], json!({"profile": "shortlived"}));
        let order = Order { url: answer.location(), object: answer.ok() };
        peer.prove(&order);
        world.with_settings("[acme]\nprofiles = [\"server\"]", || {
            peer.finalize(&order, &csr(&Key::p256(), &[&name])).problem(400, "invalidProfile");
            peer.ask(&[&name], json!({"profile": "shortlived"})).problem(400, "invalidProfile");
        });
    }

    fn a_replacement_is_exempt_from_the_limits_on_orders(world: &World) {
        let mut peer = world.account();
        let name = world.name("exempt");
        let issued = peer.issue(&[&name]);
        let replaces = json!({"replaces": identifier(&issued)});
        let settings = r#"
            [rate_limits]
            exempt_networks = []
            orders_per_account = "1 per 1h"
        "#;
        world.with_settings(settings, || {
            while peer.ask(&[&name], json!({})).status == 201 {}
            peer.ask(&[&name], json!({})).problem(429, "rateLimited");
            assert_eq!(peer.ask(&[&name], replaces).status, 201);
        });
    }
}

/// RFC 9773 section 4.1: key identifier, a dot, the octets of the serial number.
fn identifier(issued: &Issued) -> String {
    let certificate = Certificate::from_der(&issued.leaf).expect("a certificate");
    let tbs = certificate.tbs_certificate();
    /// 2.5.29.35
    const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
    let extensions = tbs.extensions().expect("extensions");
    let authority = extensions.iter().find(|extension| extension.extn_id.to_string() == AUTHORITY_KEY_IDENTIFIER);
    // SEQUENCE { [0] keyIdentifier }: four octets of heads before it.
    let key = &authority.expect("an authority key identifier").extn_value.as_bytes()[4..];
    assert_eq!(key.len(), 20);
    let serial = tbs.serial_number().to_der().expect("DER");
    format!("{}.{}", encode(key), encode(&serial[2..]))
}

/// The window of a certificate, as fourteen digits each.
#[track_caller]
fn window(world: &World, id: &str) -> (String, String) {
    let answer = world.stranger().plain("GET", &format!("{}/{id}", world.url("renewalInfo")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("Retry-After");
    assert!((60..=86_400).contains(&seconds), "{seconds}");
    let shown = answer.json();
    let digits = |member: &str| {
        let time = text(&shown["suggestedWindow"][member]);
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "not RFC 3339: {time}");
        time.chars().take(19).filter(char::is_ascii_digit).collect::<String>()
    };
    let (start, end) = (digits("start"), digits("end"));
    assert!(start < end, "{shown}");
    (start, end)
}

fn now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y%m%d%H%M%S"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn a_certificate_has_a_window_that_stays(world: &World) {
    let mut peer = world.account();
    // Whether a serial number needs an octet of zeros before it is a matter of chance.
    for _ in 0..4 {
        let issued = peer.issue(&[&world.name("ari")]);
        let id = identifier(&issued);
        let first = window(world, &id);
        assert!(first.0 > now(), "a fresh certificate is not due: {first:?}");
        assert_eq!(window(world, &id), first);
        let certificate = Certificate::from_der(&issued.leaf).expect("a certificate");
        let end = certificate.tbs_certificate().validity().not_after.to_date_time().to_string();
        let end: String = end.chars().filter(char::is_ascii_digit).take(14).collect();
        assert!(first.1 <= end, "the window closes before the certificate ends: {first:?}, {end}");
    }
}

fn a_revoked_certificate_is_due_at_once(world: &World) {
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("ari-revoked")]);
    let id = identifier(&issued);
    assert!(window(world, &id).0 > now());
    assert_eq!(peer.revoke(&issued.leaf, json!({"reason": 4})).status, 200);
    let (start, end) = window(world, &id);
    assert!(start <= now() && end <= now(), "{start} to {end}");
}

fn what_is_no_certificate_has_no_window(world: &World) {
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("ari-none")]);
    let id = identifier(&issued);
    let (key, serial) = id.split_once('.').expect("two parts");
    let get = |id: &str| world.stranger().plain("GET", &format!("{}/{id}", world.url("renewalInfo")));
    for malformed in [
        key,
        &format!("{id}="),
        &format!("{key}."),
        &format!(".{serial}"),
        "a+b.c",
        &format!("{id}.{serial}"),
        &format!("{key}%2E"),
    ] {
        get(malformed).problem(400, "malformed");
    }
    for unknown in [
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
        &format!("{key}.{}", encode([1; 16])),
        &format!("{}.{serial}", encode([1; 20])),
    ] {
        get(unknown).problem(404, "malformed");
    }
    peer.plain("POST", &format!("{}/{id}", world.url("renewalInfo"))).refused();
}

fn a_certificate_is_replaced_once_by_its_account(world: &World) {
    let mut peer = world.account();
    let (name, other) = (world.name("replaces"), world.name("replaces"));
    let issued = peer.issue(&[&name]);
    let replaces = json!({"replaces": identifier(&issued)});
    // Nobody else's, nothing unknown, nothing that shares no name.
    let problem = world.account().ask(&[&name], replaces.clone()).refused();
    let kinds = ["malformed", "unauthorized"];
    assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    for wrong in ["nonsense", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"] {
        peer.ask(&[&name], json!({"replaces": wrong})).refused();
    }
    peer.ask(&[&name], json!({"replaces": 7})).problem(400, "malformed");
    peer.ask(&[&other], replaces.clone()).refused();
    // An order that comes to nothing gives it back.
    let answer = peer.ask(&[&name, &other], replaces.clone());
    let failed = Order { url: answer.location(), object: answer.ok() };
    assert_eq!(failed.object["replaces"], replaces["replaces"]);
    let pending = crate::peer::texts(&failed.object["authorizations"])
        .into_iter()
        .find(|url| peer.read(url)["status"] == "pending")
        .expect("the other name is not proved");
    peer.done(&pending, &json!({"status": "deactivated"}));
    assert_eq!(peer.read(&failed.url)["status"], "invalid");
    // Once.
    let answer = peer.ask(&[&name], replaces.clone());
    let order = Order { url: answer.location(), object: answer.ok() };
    assert_eq!(order.object["replaces"], replaces["replaces"]);
    assert_eq!(peer.read(&order.url)["replaces"], replaces["replaces"], "the order shows it");
    peer.prove(&order);
    let key = Key::p256();
    peer.finalize(&order, &csr(&key, &[&name])).ok();
    peer.download(order, key);
    peer.ask(&[&name], replaces).problem(409, "alreadyReplaced");
}

fn an_order_has_the_profile_it_names(world: &World) {
    let profiles = world.directory["meta"]["profiles"].as_object().expect("profiles").clone();
    assert_eq!(profiles.keys().collect::<Vec<_>>(), ["server", "shortlived"]);
    assert!(profiles.values().all(|said| said.as_str().is_some_and(|said| !said.is_empty())), "{profiles:?}");
    let mut peer = world.account();
    let name = world.name("profile");
    assert_eq!(peer.order(&[&name]).object["profile"], "server", "the default one is shown");
    for wrong in [json!("unknown"), json!(""), json!("client"), json!("Server")] {
        peer.ask(&[&name], json!({"profile": wrong})).problem(400, "invalidProfile");
    }
    peer.ask(&[&name], json!({"profile": 7})).problem(400, "malformed");
    let lifetime = |issued: &Issued| {
        let certificate = Certificate::from_der(&issued.leaf).expect("a certificate");
        let validity = certificate.tbs_certificate().validity();
        (validity.not_after.to_unix_duration() - validity.not_before.to_unix_duration()).as_secs() / 86_400
    };
    let mut lifetimes: Vec<u64> = Vec::new();
    for profile in ["server", "shortlived"] {
        let answer = peer.ask(&[&name], json!({"profile": profile}));
        let order = Order { url: answer.location(), object: answer.ok() };
        assert_eq!(order.object["profile"], profile);
        peer.prove(&order);
        let key = Key::p256();
        peer.finalize(&order, &csr(&key, &[&name])).ok();
        let shown: Value = peer.read(&order.url);
        assert_eq!(shown["profile"], profile);
        lifetimes.push(lifetime(&peer.download(order, key)));
    }
    assert!(lifetimes[0] > 80 && lifetimes[1] < 10, "{lifetimes:?} days");
}
