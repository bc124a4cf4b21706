//! Requests, challenges and what comes of them.

use http::{Method, StatusCode};
use policy::evidence::Method as Proof;
use policy::serial::Serial;
use policy::tbs::Certificate;
use serde_json::json;

use super::world::{CSR, SIMPLE, World};
use crate::config::Switch;
use crate::service::acme::testing;
use crate::store::tables::CERTIFICATES;

fn proofs(world: &World, certificate: &Certificate) -> Vec<(String, Proof)> {
    let serial = Serial::from_slice(certificate.serial()).unwrap();
    let row = world.inner.store.get(&CERTIFICATES, serial.as_bytes()).unwrap().unwrap();
    row.value.record.names.into_iter().map(|proof| (proof.name.to_string(), proof.method)).collect()
}

#[tokio::test]
async fn a_simple_request_is_challenged_and_a_file_brings_certificate_and_key() {
    let world = World::new().await;
    let account = world.account().await;
    let asked = world.post(&account, SIMPLE, json!({"domains": ["App.Example.test"], "ips": [], "days": 30})).await;
    let ((http, token), (dns, other)) = (asked.challenge("http-01"), asked.challenge("dns-01"));
    assert!(http != dns && token != other && token.len() == 80 && other.len() == 80);
    assert_eq!((http, dns.clone()), (format!("{}-{token}", account.id), format!("{}-{other}", account.id)));
    let body = asked.json();
    assert_eq!(
        (&body["http01_challenge"], &body["dns01_challenge"], &body["challenge_token"]),
        (&json!(true), &json!(true), &json!(token)),
        "as the SDK reads it"
    );
    let until = body["challenges"][0]["valid_until"].as_str().unwrap();
    let until = humantime::parse_rfc3339(until).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(until, world.services().clock.now().0 + 7200);
    // Not served yet, then served with one character too many: nothing is issued, and it can be tried again.
    let id = format!("{}-{token}", account.id);
    let error = world.solve(&account, "http-01", &id).await.is_error(400);
    assert!(error.starts_with("failed HTTP-01 validation for domain app.example.test: "), "{error}");
    world.serve(&format!("{token}\n"));
    world.solve(&account, "http-01", &id).await.is_error(400);
    assert_eq!(world.signed(), 0);
    world.serve(&token);
    let port = json!({"challenge_port": 0});
    let issued = world.post(&account, &format!("/api/v1/http-01/{id}/solve"), port).await;
    let certificate = issued.certificate();
    assert_eq!(certificate.names().iter().map(ToString::to_string).collect::<Vec<_>>(), ["app.example.test"]);
    assert_eq!(proofs(&world, &certificate), [("app.example.test".to_owned(), Proof::CertMakerHttp01)]);
    let now = world.services().clock.now();
    assert_eq!(certificate.validity().not_after(), now.plus(30 * 86_400 - 1));
    // Base64 of PKCS#8, which fits the certificate.
    use base64::Engine as _;
    let body = issued.json();
    let key = base64::engine::general_purpose::STANDARD.decode(body["private_key_pem"].as_str().unwrap()).unwrap();
    let pair =
        aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING, &key);
    use aws_lc_rs::signature::KeyPair as _;
    assert!(certificate.key().unwrap().spki().ends_with(pair.unwrap().public_key().as_ref()));
    assert_eq!(issued.header("cache-control"), "no-store");
    // Both challenges are over.
    world.solve(&account, "http-01", &id).await.is_error(404);
    world.solve(&account, "dns-01", &dns).await.is_error(404);
}

#[tokio::test]
async fn a_txt_record_in_either_spelling_is_found() {
    let world = World::new().await;
    let account = world.account().await;
    for (name, label) in [("one.example.test", "_"), ("two.example.test", "__")] {
        let (id, token) = world.simple(&account, &[name], &[]).await.challenge("dns-01");
        let error = world.solve(&account, "dns-01", &id).await.is_error(400);
        let said = format!("DNS check of TXT record for __certmaker_challenge.{name} did not match expected token");
        assert!(error.starts_with(&said), "{error}");
        world.inner.web.put_txt(&format!("{label}certmaker_challenge.{name}"), "another");
        world.inner.web.put_txt(&format!("{label}certmaker_challenge.{name}"), &token);
        let certificate = world.solve(&account, "dns-01", &id).await.certificate();
        assert_eq!(proofs(&world, &certificate), [(name.to_owned(), Proof::CertMakerDns01)]);
    }
}

#[tokio::test]
async fn both_challenges_are_solved_by_get_and_by_post() {
    let world = World::new().await;
    let account = world.account().await;
    for (number, (kind, method)) in
        [("http-01", Method::GET), ("http-01", Method::POST), ("dns-01", Method::GET), ("dns-01", Method::POST)]
            .into_iter()
            .enumerate()
    {
        let name = format!("n{number}.example.test");
        let (id, token) = world.simple(&account, &[&name], &[]).await.challenge(kind);
        world.serve(&token);
        world.inner.web.put_txt(&format!("__certmaker_challenge.{name}"), &token);
        world.ask(Some(&account), method, &format!("/api/v1/{kind}/{id}/solve")).await.certificate();
    }
}

#[tokio::test]
async fn addresses_are_validated_by_http_alone_and_wildcards_by_dns_alone() {
    let world = World::new().await;
    let account = world.account().await;
    let asked = world.simple(&account, &["a.example.test"], &["127.0.0.2"]).await;
    let (id, token) = asked.challenge("http-01");
    assert_eq!(asked.json()["challenges"].as_array().unwrap().len(), 1);
    world.solve(&account, "http-01", &id).await.is_error(400);
    world.serve(&token);
    world.solve(&account, "http-01", &id).await.is_error(400);
    // Nothing listens on that address. One that somebody listens on is certified, alone too.
    let alone = world.simple(&account, &[], &["127.0.0.2"]).await;
    let (id, _) = alone.challenge("http-01");
    let error = world.solve(&account, "http-01", &id).await.is_error(400);
    assert!(error.starts_with("failed HTTP-01 validation for IP 127.0.0.2: "), "{error}");
    // An address that validation may not reach is not connected to.
    let (id, _) = world.simple(&account, &[], &["10.0.0.5"]).await.challenge("http-01");
    let error = world.solve(&account, "http-01", &id).await.is_error(400);
    assert!(error.contains("no address that this server may connect to"), "{error}");
    let (id, token) = world.simple(&account, &["*.example.test"], &[]).await.challenge("dns-01");
    world.inner.web.put_txt("__certmaker_challenge.example.test", &token);
    world.solve(&account, "dns-01", &id).await.certificate();
    world.simple(&account, &["*.example.test"], &["127.0.0.2"]).await.is_error(400);
}

#[tokio::test]
async fn a_hosts_own_names_are_never_validated_and_no_others() {
    let world = World::new().await;
    let account = world.account().await;
    let issued = world.simple(&account, &["localhost"], &["127.0.0.1", "[::1]"]).await;
    let certificate = issued.certificate();
    let proofs = proofs(&world, &certificate);
    assert_eq!(proofs.len(), 3);
    assert!(proofs.iter().all(|(_, method)| *method == Proof::Loopback), "{proofs:?}");
    world.simple(&account, &["localhost.example.test"], &[]).await.challenge("http-01");
    let (id, token) = world.simple(&account, &["localhost", "a.example.test"], &[]).await.challenge("http-01");
    world.serve(&token);
    let certificate = world.solve(&account, "http-01", &id).await.certificate();
    assert_eq!(certificate.names().len(), 2);
}

#[tokio::test]
async fn a_csr_is_certified_in_der_and_pem_and_again_after_a_lost_answer() {
    let world = World::new().await;
    let account = world.account().await;
    let der = testing::csr(&["app.example.test"]);
    let pem = der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &der).unwrap();
    for body in [der, pem.into_bytes()] {
        let asked = world.send(Some(&account), Method::POST, CSR, body).await;
        let (id, token) = asked.challenge("http-01");
        assert_eq!(asked.challenge("dns-01"), (id.clone(), token.clone()), "one token for both");
        world.serve(&token);
        let issued = world.solve(&account, "http-01", &id).await;
        let certificate = issued.certificate();
        assert!(issued.json().get("private_key_pem").is_none());
        assert_eq!(certificate.validity().not_after(), world.services().clock.now().plus(7 * 86_400 - 1));
        let signed = world.signed();
        assert_eq!(world.solve(&account, "http-01", &id).await.certificate().der(), certificate.der());
        assert_eq!(world.signed(), signed);
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let account = world.account().await;
    for body in
        ["", "{", "[]", "null", "7", "{}", r#"{"domains":[]}"#, r#"{"domains":"a.test"}"#, r#"{"domains":["a b"]}"#]
    {
        world.send(Some(&account), Method::POST, SIMPLE, body.as_bytes().to_vec()).await.is_error(400);
    }
    for body in [&b""[..], b"x", b"-----BEGIN CERTIFICATE-----\n", &[0x30; 40], &vec![0x30; 20_000]] {
        world.send(Some(&account), Method::POST, CSR, body.to_vec()).await.is_error(400);
    }
    let nameless = testing::csr(&[]);
    world.send(Some(&account), Method::POST, CSR, nameless).await.is_error(400);
    // More names than the profile allows.
    let many: Vec<String> = (0..101).map(|number| format!("n{number}.example.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.simple(&account, &many, &[]).await.is_error(400);
    let (id, _) = world.simple(&account, &["a.example.test"], &[]).await.challenge("http-01");
    let path = format!("/api/v1/http-01/{id}/solve");
    for body in
        ["{", "[8080]", "8080", r#"{"challenge_port":"80"}"#, r#"{"challenge_port":65536}"#, r#"{"challenge_port":-1}"#]
    {
        world.send(Some(&account), Method::POST, &path, body.as_bytes().to_vec()).await.is_error(400);
    }
    // Of another type than it says.
    world.ask(Some(&account), Method::GET, &format!("/api/v1/dns-01/{id}/solve")).await.is_error(400);
    world.ask(Some(&account), Method::GET, "/api/v1/dns-01/nothing/solve").await.is_error(404);
    assert_eq!(world.signed(), 0);
}

#[tokio::test]
async fn a_client_has_only_the_ports_looked_at_that_are_allowed() {
    let world = World::new().await;
    let port = world.inner.web.http.port();
    let account = world.account().await;
    let (id, _) = world.simple(&account, &["a.example.test"], &[]).await.challenge("http-01");
    let path = format!("/api/v1/http-01/{id}/solve");
    let error = world.post(&account, &path, json!({"challenge_port": port})).await.is_error(400);
    assert!(error.contains("http01_ports"), "{error}");
    // Where another one is allowed, it is looked at, and 80 is not.
    let other = testing::Web::start();
    let port = other.http.port();
    let world = World::adjusted(|services| services.certmaker.http01_ports = vec![port..=port]).await;
    let account = world.account().await;
    let (id, token) = world.simple(&account, &["a.example.test"], &[]).await.challenge("http-01");
    other.put("/.well-known/certmaker-challenge/token", &token);
    let path = format!("/api/v1/http-01/{id}/solve");
    let error = world.post(&account, &path, json!({})).await.is_error(400);
    assert!(error.starts_with("port 80 "), "{error}");
    world.post(&account, &path, json!({"challenge_port": port})).await.certificate();
}

#[tokio::test]
async fn caa_is_asked_and_its_method_has_a_name_of_ours() {
    let world = World::new().await;
    let account = world.account().await;
    let solve = async |name: &str, value: &str| {
        world.inner.web.put_caa(name, "issue", value);
        let (id, token) = world.simple(&account, &[name], &[]).await.challenge("http-01");
        world.serve(&token);
        world.solve(&account, "http-01", &id).await
    };
    let error = solve("other.test", "elsewhere.test").await.is_error(400);
    assert!(error.starts_with("failed HTTP-01 validation for domain other.test: "), "{error}");
    solve("acme.test", "ca.example.test; validationmethods=http-01").await.is_error(400);
    solve("account.test", "ca.example.test; accounturi=https://ca.test/acme/account/1").await.is_error(400);
    solve("ours.test", "ca.example.test; validationmethods=ca-certmaker-http-01").await.certificate();
}

#[tokio::test]
async fn switches_turn_challenges_and_kinds_of_requests_off() {
    let world = World::unproven().await;
    let account = world.account().await;
    let issued = world.simple(&account, &["a.example.test", "localhost"], &["10.0.0.5"]).await;
    let proofs = proofs(&world, &issued.certificate());
    let of = |name: &str| proofs.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(
        [of("a.example.test"), of("10.0.0.5"), of("localhost")],
        [Proof::Unproven, Proof::Unproven, Proof::Loopback]
    );
    let issued = world.send(Some(&account), Method::POST, CSR, testing::csr(&["a.example.test"])).await;
    assert_eq!(issued.status, StatusCode::CREATED);

    let world = World::adjusted(|services| {
        (services.certmaker.simple_requests, services.certmaker.csr_requests) = (Switch::Off, Switch::Off);
    });
    let world = world.await;
    let account = world.account().await;
    world.simple(&account, &["a.example.test"], &[]).await.is_error(501);
    let csr = world.send(Some(&account), Method::POST, CSR, testing::csr(&["a.example.test"])).await;
    assert_eq!(csr.is_error(501), "CSR mode is not enabled on this instance");
}

#[tokio::test]
async fn days_are_cut_to_what_certmaker_and_the_profile_give() {
    let world = World::unproven().await;
    let account = world.account().await;
    let now = world.services().clock.now();
    for (days, lasts) in [(0, 7), (1, 1), (182, 182), (100_000, 182), (-3, 1)] {
        let asked = world.post(&account, SIMPLE, json!({"domains": ["a.test"], "days": days})).await;
        assert_eq!(asked.certificate().validity().not_after(), now.plus(lasts * 86_400 - 1), "{days}");
    }
}
