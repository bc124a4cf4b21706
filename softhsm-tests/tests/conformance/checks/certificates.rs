//! finalize, certificates, revocation (RFC 8555 sections 7.4 and 7.6).

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use softhsm_tests::clients::run;
use softhsm_tests::wait::wait_until;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::accounts::serial;
use crate::der::{CsrDraft, SubjectName, csr};
use crate::jose::{Key, encode};
use crate::peer::{JOSE, Judged, Order, PATIENCE, Peer, certificate, chain, text, texts};
use crate::world::World;

crate::checks! {
    "A-061" => validity_is_as_asked_or_refused,
    "A-064" => an_order_that_is_not_ready_is_not_finalized,
    "A-065" => a_csr_that_names_something_else_is_refused_and_the_order_stays_ready,
    "A-066" => a_csr_without_proof_or_with_a_weak_key_is_refused,
    "A-068" => a_valid_order_leads_to_its_certificate,
    "A-070 A-090" => a_certificate_is_a_strict_chain_in_pem,
    "A-078" => those_may_revoke_who_hold_account_names_or_key,
    "A-079" => a_certificate_is_revoked_once,
    "A-080" => reasons_that_are_not_the_subscribers_are_refused,
}

/// An order whose names are proved.
fn ready(peer: &mut Peer<'_>, names: &[&str]) -> Order {
    let order = peer.order(names);
    peer.prove(&order);
    order
}

/// Whole seconds from the epoch, of RFC 3339 and back, by date(1).
fn date(arguments: &[&str]) -> String {
    let output = Command::new("date").arg("-u").args(arguments).output().expect("date");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn validity_is_as_asked_or_refused(world: &World) {
    let mut peer = world.account();
    let rfc3339 = |offset: &str| date(&["-d", offset, "+%Y-%m-%dT%H:%M:%SZ"]);
    let name = world.name("validity");
    let (from, to) = (rfc3339("now"), rfc3339("now + 5 days"));
    let answer = peer.ask(&[&name], json!({"notBefore": from, "notAfter": to}));
    assert_eq!(answer.status, 201, "what the profile allows is accepted: {}", answer.text());
    let object = answer.json();
    assert_eq!((text(&object["notBefore"]), text(&object["notAfter"])), (from.clone(), to.clone()), "as asked");
    let order = Order { url: answer.location(), object };
    peer.prove(&order);
    let key = Key::p256();
    peer.finalize(&order, &csr(&key, &[&name])).ok();
    let issued = peer.download(order, key);
    let certificate = Certificate::from_der(&issued.leaf).expect("a certificate");
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs().to_string();
    assert_eq!(seconds(validity.not_before), date(&["-d", &from, "+%s"]));
    assert_eq!(seconds(validity.not_after), date(&["-d", &to, "+%s"]));
    for (from, to) in [
        (None, Some(rfc3339("now + 5000 days"))),
        (None, Some(rfc3339("now - 1 day"))),
        (Some(rfc3339("now - 400 days")), None),
        (Some(rfc3339("now + 5000 days")), None),
        (Some(rfc3339("now + 3 days")), Some(rfc3339("now + 2 days"))),
        (None, Some("tomorrow".into())),
        (Some("2026-13-45T00:00:00Z".into()), None),
        (None, Some("9999999999999999999-01-01T00:00:00Z".into())),
    ] {
        let mut members = json!({});
        for (member, time) in [("notBefore", from), ("notAfter", to)] {
            if let Some(time) = time {
                members[member] = json!(time);
            }
        }
        peer.ask(&[&name], members).refused();
    }
    peer.ask(&[&name], json!({"notAfter": 5})).problem(400, "malformed");
}

fn an_order_that_is_not_ready_is_not_finalized(world: &World) {
    let mut peer = world.account();
    let name = world.name("not-ready");
    let order = peer.order(&[&name]);
    let der = csr(&Key::p256(), &[&name]);
    let problem = peer.finalize(&order, &der).problem(403, "orderNotReady");
    assert!(text(&problem["detail"]).len() > 10);
    assert_eq!(peer.read(&order.url)["status"], "pending");
    peer.prove(&order);
    peer.finalize(&order, &der).ok();
    peer.poll(&order.url, &["valid"]);
    // Once more: the same order, or orderNotReady, but never a second certificate.
    let before = peer.read(&order.url)["certificate"].clone();
    let again = peer.finalize(&order, &csr(&Key::p256(), &[&name]));
    if again.status != 200 {
        again.problem(403, "orderNotReady");
    }
    assert_eq!(peer.read(&order.url)["certificate"], before);
}

fn a_csr_that_names_something_else_is_refused_and_the_order_stays_ready(world: &World) {
    let mut peer = world.account();
    let (a, b) = (world.name("csr"), world.name("csr"));
    let order = ready(&mut peer, &[&a, &b]);
    let key = Key::p256();
    fn drafted<'a>(key: &'a Key, common_name: Option<&'a str>, names: &[&'a str]) -> CsrDraft<'a> {
        let names = names.iter().map(|name| SubjectName::Dns(name)).collect();
        CsrDraft { key, common_name, names, spoiled: false }
    }
    let wild = format!("*.{a}");
    let mut wrong = vec![
        drafted(&key, None, &[&a]).der(),
        drafted(&key, None, &[&a, &b, "c.example.test"]).der(),
        drafted(&key, None, &[&a, "c.example.test"]).der(),
        drafted(&key, Some("c.example.test"), &[&a, &b]).der(),
        drafted(&key, None, &[&a, &wild]).der(),
        drafted(&key, None, &[]).der(),
        b"no DER".to_vec(),
        Vec::new(),
    ];
    let mut mixed = drafted(&key, None, &[&a, &b]);
    mixed.names.push(SubjectName::Address([127, 0, 0, 1].into()));
    wrong.push(mixed.der());
    let mut mixed = drafted(&key, None, &[&a, &b]);
    mixed.names.push(SubjectName::Email("a@example.test"));
    wrong.push(mixed.der());
    wrong.push([drafted(&key, None, &[&a, &b]).der(), vec![0]].concat());
    for der in wrong {
        let problem = peer.finalize(&order, &der).problem(400, "badCSR");
        assert!(text(&problem["detail"]).len() > 10, "it says why: {problem}");
        assert_eq!(peer.read(&order.url)["status"], "ready");
    }
    let finalize = text(&order.object["finalize"]);
    for payload in [json!({}), json!({"csr": 7}), json!({"csr": null}), json!([])] {
        peer.post(&finalize, &payload).problem(400, "malformed");
    }
    // The order of names does not matter, nor whether one of them is the common name.
    peer.finalize(&order, &drafted(&key, Some(&a), &[&b]).der()).ok();
    let issued = peer.download(order, Key::p256());
    assert_eq!(names(&issued.leaf), [a.clone(), b.clone()].into());
    let lone = world.name("csr");
    let order = ready(&mut peer, &[&lone]);
    peer.finalize(&order, &drafted(&key, Some(&lone), &[]).der()).ok();
    let issued = peer.download(order, Key::p256());
    assert_eq!(names(&issued.leaf), [lone.clone()].into(), "a common name alone becomes a SAN");
}

/// The DNS names of a certificate, by OpenSSL.
fn names(leaf: &[u8]) -> std::collections::BTreeSet<String> {
    let said = openssl(&["x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"], leaf);
    said.split([',', '\n', ' ']).filter_map(|part| part.strip_prefix("DNS:")).map(str::to_owned).collect()
}

/// What OpenSSL says about its input.
#[track_caller]
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    child.stdin.take().expect("a pipe").write_all(input).expect("written");
    let output = child.wait_with_output().expect("openssl");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_csr_without_proof_or_with_a_weak_key_is_refused(world: &World) {
    let mut peer = world.account();
    let name = world.name("proof");
    let order = ready(&mut peer, &[&name]);
    let key = Key::p256();
    let spoiled = CsrDraft { key: &key, common_name: None, names: vec![SubjectName::Dns(&name)], spoiled: true };
    peer.finalize(&order, &spoiled.der()).problem(400, "badCSR");
    let other = Key::p256();
    let mut account = csr(&peer.key, &[&name]);
    for der in [account.clone(), csr(&world.account().key, &[&name])] {
        let problem = peer.finalize(&order, &der).refused();
        let kinds = ["badCSR", "badPublicKey"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    }
    let last = account.len() - 1;
    account[last] ^= 1;
    peer.finalize(&order, &account).refused();
    // 1024 bits of RSA, and DSA, made by OpenSSL.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.pem").display().to_string();
    let subject = ["-subj", "/", "-addext", &format!("subjectAltName=DNS:{name}")].map(str::to_owned);
    for make in [
        vec!["genrsa", "-out", &file, "1024"],
        vec!["ecparam", "-genkey", "-name", "secp256k1", "-noout", "-out", &file],
        vec!["ecparam", "-genkey", "-name", "prime192v1", "-noout", "-out", &file],
        vec![
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-pkeyopt",
            "rsa_keygen_pubexp:3",
            "-out",
            &file,
        ],
    ] {
        openssl(&make, b"");
        let mut request = vec!["req", "-new", "-key", &file, "-outform", "DER"];
        request.extend(subject.iter().map(String::as_str));
        let output = Command::new("openssl").args(&request).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let problem = peer.finalize(&order, &output.stdout).refused();
        let kinds = ["badCSR", "badPublicKey"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{make:?}: {problem}");
    }
    assert_eq!(peer.read(&order.url)["status"], "ready");
    peer.finalize(&order, &csr(&other, &[&name])).ok();
    peer.poll(&order.url, &["valid"]);
}

fn a_valid_order_leads_to_its_certificate(world: &World) {
    let mut peer = world.account();
    let name = world.name("leads");
    let order = ready(&mut peer, &[&name]);
    let key = Key::p256();
    let answer = peer.finalize(&order, &csr(&key, &[&name]));
    assert_eq!(answer.location(), order.url, "the answer to finalize is the order");
    let (url, authorizations) = (order.url.clone(), texts(&order.object["authorizations"]));
    let issued = peer.download(order, key);
    assert_eq!(names(&issued.leaf), [name].into());
    let der = Certificate::from_der(&issued.leaf).expect("a certificate");
    let spki = x509_cert::der::Encode::to_der(der.tbs_certificate().subject_public_key_info()).expect("DER");
    assert_eq!(spki, issued.key.spki(), "the key is the CSR's");
    assert_eq!(peer.read(&url)["authorizations"], json!(authorizations));
    // An order that failed says why.
    let broken = peer.order(&[&world.name("leads")]);
    let (_, authorization) = peer.authorization(&broken);
    peer.done(&text(&crate::peer::challenge(&authorization, "http-01")["url"]), &json!({}));
    let invalid = peer.poll(&broken.url, &["invalid"]);
    assert!(text(&invalid["error"]["detail"]).len() > 10, "{invalid}");
    assert!(invalid.get("certificate").is_none());
}

fn a_certificate_is_a_strict_chain_in_pem(world: &World) {
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("chain")]);
    let answer = peer.fetch(&issued.certificate);
    assert_eq!(answer.header("content-type"), Some("application/pem-certificate-chain"));
    assert_eq!(answer.text(), issued.pem);
    // RFC 7468: lines of 64, nothing before, between or after.
    let mut inside = false;
    for line in issued.pem.lines() {
        match line {
            "-----BEGIN CERTIFICATE-----" => assert!(!std::mem::replace(&mut inside, true)),
            "-----END CERTIFICATE-----" => assert!(std::mem::replace(&mut inside, false)),
            _ => {
                assert!(inside && line.len() <= 64 && !line.is_empty(), "{line:?}");
                let alphabet = |letter: char| letter.is_ascii_alphanumeric() || "+/=".contains(letter);
                assert!(line.chars().all(alphabet), "{line:?}");
            }
        }
    }
    assert!(issued.pem.ends_with("-----END CERTIFICATE-----\n") && !issued.pem.contains('\r'));
    let served = chain(issued.pem.as_bytes());
    let issuer = certificate(world.rig.environment.get("SIGNET_ISSUER_FILE"));
    let root = certificate(world.rig.environment.get("SIGNET_CA_FILE"));
    assert_eq!(served.get(1), Some(&issuer), "each is certified by the next");
    assert!(!served.contains(&root), "the client has the root");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chain.pem");
    std::fs::write(&file, &issued.pem).expect("a file");
    let root = world.rig.environment.get("SIGNET_CA_FILE");
    let file = file.display().to_string();
    openssl(&["verify", "-x509_strict", "-CAfile", root, "-untrusted", &file, &file], b"");
    // Accept.
    let accept = |peer: &mut Peer<'_>, range: &str| {
        let headers = format!("Content-Type: {JOSE}\r\nAccept: {range}\r\n");
        peer.draft(&issued.certificate, "").headers(&headers).send()
    };
    for range in ["application/pem-certificate-chain", "*/*", "text/html, application/*;q=0.5"] {
        assert_eq!(accept(&mut peer, range).status, 200, "{range}");
    }
    for range in ["application/pkix-crl", "text/html"] {
        accept(&mut peer, range).problem(406, "malformed");
    }
    for alternate in answer.links("alternate") {
        let other = chain(&peer.fetch(&alternate).body);
        assert_eq!(other[0], served[0], "an alternate chain has the same leaf");
        assert_ne!(other, served);
    }
}

/// Whether the administrators see it revoked, and why.
fn revocation(world: &World, leaf: &[u8]) -> Value {
    world.signetctl_json(&["cert", "show", &serial(leaf)])["revoked"].clone()
}

fn those_may_revoke_who_hold_account_names_or_key(world: &World) {
    let mut peer = world.account();
    let names = [world.name("revoke"), world.name("revoke")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // By the account.
    let first = peer.issue(&names);
    assert_eq!(peer.revoke(&first.leaf, json!({})).status, 200);
    // By an account that has proved all of the names, not only some of them.
    let second = peer.issue(&names);
    let mut other = world.account();
    let half = other.order(&names[..1]);
    other.prove(&half);
    other.revoke(&second.leaf, json!({})).problem(403, "unauthorized");
    let rest = other.order(&names[1..]);
    other.prove(&rest);
    assert_eq!(other.revoke(&second.leaf, json!({})).status, 200);
    // By the certificate's key, without any account.
    let third = peer.issue(&names);
    let leaf = third.leaf.clone();
    let payload = json!({"certificate": encode(&leaf)});
    let mut stranger = world.stranger();
    stranger.post(&world.url("revokeCert"), &payload).refused();
    assert!(revocation(world, &leaf).is_null());
    let mut holder = Peer::stranger(world, third.key);
    holder.draft(&world.url("revokeCert"), payload.to_string()).signed_by(&stranger.key).refused();
    assert!(revocation(world, &leaf).is_null());
    let answer = holder.post(&world.url("revokeCert"), &payload);
    assert_eq!(answer.status, 200, "{}", answer.text());
    for issued in [&first.leaf, &second.leaf, &leaf] {
        assert!(!revocation(world, issued).is_null());
    }
}

fn a_certificate_is_revoked_once(world: &World) {
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("once")]);
    world.account().revoke(&issued.leaf, json!({})).problem(403, "unauthorized");
    assert!(revocation(world, &issued.leaf).is_null());
    let answer = peer.revoke(&issued.leaf, json!({}));
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    peer.revoke(&issued.leaf, json!({})).problem(400, "alreadyRevoked");
    peer.revoke(&issued.leaf, json!({"reason": 1})).problem(400, "alreadyRevoked");
    // What this CA has not issued.
    let root = certificate(world.rig.environment.get("SIGNET_CA_FILE"));
    peer.revoke(&root, json!({})).refused();
    let mut forged = peer.issue(&[&world.name("once")]).leaf.to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    peer.revoke(&forged.into(), json!({})).refused();
    for payload in [json!({}), json!({"certificate": ""}), json!({"certificate": "AAAA"}), json!({"certificate": 7})] {
        let problem = peer.post(&world.url("revokeCert"), &payload).refused();
        assert_eq!(problem["status"], 400, "{problem}");
    }
}

/// What relying parties are told of a revoked certificate: OpenSSL's words about its OCSP answer.
#[track_caller]
fn published(world: &World, leaf: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leaf.pem").display().to_string();
    std::fs::write(&file, openssl(&["x509", "-inform", "DER"], leaf)).expect("a file");
    let get = |name| world.rig.environment.get(name).to_owned();
    let url = format!("{}/ocsp", get("SIGNET_PKI_URL"));
    let (issuer, root) = (get("SIGNET_ISSUER_FILE"), get("SIGNET_CA_FILE"));
    // OpenSSL ends with an error for what is revoked; its words tell more.
    let ask = ["ocsp", "-issuer", &issuer, "-cert", &file, "-url", &url, "-CAfile", &root, "-no_nonce"];
    let mut said = String::new();
    let told = wait_until("the revocation is published", PATIENCE, || {
        said = run(Command::new("openssl").args(ask)).text;
        said.contains(": revoked")
    });
    told.unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(said.contains("Response verify OK"), "{said}");
    said
}

fn reasons_that_are_not_the_subscribers_are_refused(world: &World) {
    let mut peer = world.account();
    for reason in [0, 1, 3, 4, 5] {
        let issued = peer.issue(&[&world.name("reason")]);
        if reason == 0 {
            for wrong in [
                json!(2),
                json!(6),
                json!(7),
                json!(8),
                json!(10),
                json!(11),
                json!(-1),
                json!(255),
                json!(4_294_967_297_u64),
            ] {
                let problem = peer.revoke(&issued.leaf, json!({"reason": wrong})).refused();
                let kinds: &[&str] = &["badRevocationReason", "malformed"];
                assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{wrong}: {problem}");
                if wrong.as_i64().is_some_and(|code| (2..=8).contains(&code)) {
                    assert!(text(&problem["type"]).ends_with(":badRevocationReason"), "{wrong}: {problem}");
                    let detail = text(&problem["detail"]);
                    assert!(detail.contains('1') && detail.contains('4'), "it lists those that are allowed: {detail}");
                }
            }
            peer.revoke(&issued.leaf, json!({"reason": "1"})).problem(400, "malformed");
            assert!(revocation(world, &issued.leaf).is_null());
        }
        let answer = peer.revoke(&issued.leaf, json!({"reason": reason}));
        assert_eq!(answer.status, 200, "{reason}: {}", answer.text());
        if reason == 4 {
            let said = published(world, &issued.leaf);
            assert!(said.contains("Reason: superseded"), "{said}");
        }
    }
    // RFC 5280 section 5.3.1: no reason is said by no reasonCode, rather than by unspecified.
    for members in [json!({}), json!({"reason": 0})] {
        let issued = peer.issue(&[&world.name("reason")]);
        assert_eq!(peer.revoke(&issued.leaf, members).status, 200);
        let said = published(world, &issued.leaf);
        assert!(!said.contains("Reason"), "{said}");
    }
}
