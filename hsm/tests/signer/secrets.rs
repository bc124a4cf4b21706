//! Secrets of `signetd`: who may have them opened, and as what.

use std::process::Command;

use hsm::journal::Event;
use hsm::wire::{Actor, MAX_SECRET, Plain, Refusal, Request, Response};

use super::issuance::Ca;
use super::rig::{Appliance, PIN, actor, patiently, refusal, sealed, status};

fn encrypt(label: &str, secret: &[u8]) -> Request {
    Request::Encrypt { label: label.to_owned(), secret: Plain(secret.to_vec().into()), actor: actor() }
}

fn decrypt(label: &str, boxed: &[u8]) -> Request {
    Request::Decrypt { label: label.to_owned(), boxed: boxed.to_vec() }
}

fn boxed(ca: &Ca, label: &str, secret: &[u8]) -> Vec<u8> {
    match ca.client.call(None, encrypt(label, secret)) {
        Ok(Response::Box(boxed)) => boxed,
        other => panic!("no box: {other:?}"),
    }
}

fn opened(ca: &Ca, label: &str, boxed: &[u8]) -> Vec<u8> {
    match ca.client.call(None, decrypt(label, boxed)) {
        Ok(Response::Secret(Plain(secret))) => secret.to_vec(),
        other => panic!("no secret: {other:?}"),
    }
}

#[test]
fn a_secret_opens_under_its_own_label_unchanged_and_while_unsealed_only() {
    let ca = Ca::new();
    for secret in [&b""[..], b"a MAC key", &vec![7; MAX_SECRET]] {
        let first = boxed(&ca, "eab-key/1", secret);
        let second = boxed(&ca, "eab-key/1", secret);
        assert_ne!(first, second, "each box has an initialization vector of its own");
        assert_eq!(opened(&ca, "eab-key/1", &first), secret);
        assert_eq!(opened(&ca, "eab-key/1", &second), secret);
        assert!(secret.is_empty() || !first.windows(secret.len()).any(|part| part == secret));
    }
    let good = boxed(&ca, "eab-key/1", b"a MAC key");
    let flipped = |at: usize| {
        let mut boxed = good.clone();
        boxed[at] ^= 1;
        boxed
    };
    let spoilt = [flipped(0), flipped(1), flipped(13), flipped(good.len() - 1), good[..20].to_vec(), Vec::new()];
    for (label, boxed) in spoilt.iter().map(|boxed| ("eab-key/1", boxed)).chain([("eab-key/2", &good)]) {
        let why = refusal(ca.client.call(None, decrypt(label, boxed)));
        assert!(matches!(&why, Refusal::Policy(why) if why.contains("does not open")), "{why:?}");
    }
    // Trouble with one box is an error for its request only.
    assert_eq!(opened(&ca, "eab-key/1", &good), b"a MAC key");
    assert!(ca.issue().is_ok());
    let why = refusal(ca.client.call(None, encrypt("x", &vec![0; MAX_SECRET + 1])));
    assert!(matches!(why, Refusal::Policy(_)), "{why:?}");
    let console = Actor { who: "console".to_owned(), request_id: String::new() };
    let forged = Request::Encrypt { label: "x".to_owned(), secret: Plain(Vec::new().into()), actor: console };
    assert!(matches!(refusal(ca.client.call(None, forged)), Refusal::Policy(_)));

    let mut ca = ca;
    ca.client.call(None, Request::Seal { actor: actor() }).unwrap();
    let (_, kept) = ca.signer.take().unwrap().end();
    assert!(matches!(ca.appliance.events("ca").last(), Some(Event::Counted { secrets: 14.., .. })));
    ca.signer = Some(ca.appliance.start("ca", kept));
    assert!(sealed(&status(&ca.appliance.client("ca"))));
    for request in [decrypt("eab-key/1", &good), encrypt("eab-key/1", b"another")] {
        assert_eq!(refusal(patiently(&ca.client, &request)), Refusal::Sealed);
    }
    ca.appliance.unseal(&ca.client, PIN).unwrap();
    assert_eq!(opened(&ca, "eab-key/1", &good), b"a MAC key");
}

#[test]
fn a_token_from_before_there_were_secrets_gets_its_key_when_one_is_needed() {
    let appliance = Appliance::new();
    let mut tool = Command::new("pkcs11-tool");
    tool.args(["--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "signet-ca", "--login", "--pin", PIN]);
    tool.args(["--delete-object", "--type", "secrkey", "--label", "secrets-1"]);
    tool.env("SOFTHSM2_CONF", appliance.path("etc/softhsm-ca.conf"));
    let deleted = tool.output().unwrap();
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));

    let ca = Ca::with(appliance, "server");
    let why = refusal(ca.client.call(None, decrypt("x", &[&[1][..], &[0; 40]].concat())));
    assert!(matches!(&why, Refusal::Token(why) if why.contains("secrets-1")), "{why:?}");
    let made = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::KeyMade { .. })).count();
    assert_eq!(made(&ca.appliance.events("ca")), 0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(opened(&ca, "x", &boxed(&ca, "x", b"secret")), b"secret"));
        }
    });
    assert_eq!(made(&ca.appliance.events("ca")), 1);
}

#[test]
fn the_signer_of_the_tls_token_keeps_no_secrets() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let client = appliance.client("tls");
    assert!(matches!(refusal(client.call(None, encrypt("x", b"secret"))), Refusal::Forbidden(_)));
    let why = refusal(patiently(&client, &decrypt("x", &[1; 40])));
    assert!(matches!(why, Refusal::Forbidden(_)));
}
