//! Who may do what: accounts, strangers, the sealed CA, revocation, OCSP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use policy::ocsp::{BasicResponse, CertId, HashAlgorithm, Status};
use policy::rights::{Permission, Scope};
use policy::serial::Serial;

use super::world::{Account, CSR, REVOKE, ROOT, SIMPLE, World, decimal};
use crate::service::tokens::TokenState;

#[tokio::test]
async fn every_path_but_ocsp_takes_a_token() {
    let world = World::new().await;
    let stranger = Account { id: "0".repeat(16), token: "nobody's".to_owned() };
    let narrow = world.account_with(Scope::Everything, &[Permission::ListCertificates], &[]).await;
    for (method, path) in [
        (Method::GET, ROOT),
        (Method::POST, SIMPLE),
        (Method::POST, CSR),
        (Method::POST, "/api/v1/certificate/request"),
        (Method::POST, "/api/v1/http-01/1-x/solve"),
        (Method::GET, "/api/v1/http-01/1-x/solve"),
        (Method::GET, "/api/v1/dns-01/1-x/solve"),
        (Method::POST, "/api/v1/dns-01/1-x/solve"),
        (Method::POST, REVOKE),
        (Method::POST, "/api/v1/certificate/1/revoke"),
        (Method::GET, "/api/v1/certificate/1/obtain"),
        (Method::GET, "/api/v1/privatekey/1/obtain"),
    ] {
        world.ask(None, method.clone(), path).await.is_error(401);
        world.ask(Some(&stranger), method.clone(), path).await.is_error(401);
        world.ask(Some(&narrow), method, path).await.is_error(403);
    }
    world.ask(None, Method::GET, "/api/v1/elsewhere").await.is_error(404);
    world.ask(None, Method::DELETE, ROOT).await.is_error(405);
}

#[tokio::test]
async fn a_locked_account_uses_the_api_and_one_that_is_disabled_or_revoked_does_not() {
    let world = World::new().await;
    let account = world.account().await;
    for (state, status) in
        [(TokenState::Locked, 200), (TokenState::Disabled, 401), (TokenState::Enabled, 200), (TokenState::Revoked, 401)]
    {
        world.set(&account, state).await;
        assert_eq!(world.ask(Some(&account), Method::GET, ROOT).await.status.as_u16(), status, "{state:?}");
    }
}

#[tokio::test]
async fn the_root_certificate_is_pem_of_the_type_that_the_sdk_demands() {
    let world = World::new().await;
    let account = world.account().await;
    let answer = world.ask(Some(&account), Method::GET, ROOT).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/x-pem-file"));
    let (label, der) = der::pem::decode_vec(&answer.body).unwrap();
    assert_eq!((label, der), ("CERTIFICATE", world.services().root.clone()));
}

#[tokio::test]
async fn a_challenge_belongs_to_the_account_that_asked_and_lasts_two_hours() {
    let world = World::new().await;
    let (account, other) = (world.account().await, world.account().await);
    let (id, token) = world.simple(&account, &["a.example.test"], &[]).await.challenge("http-01");
    world.serve(&token);
    world.solve(&other, "http-01", &id).await.is_error(404);
    let admin = world.account_with(Scope::Everything, &[Permission::OrderCertificate, Permission::Revoke], &[]).await;
    world.solve(&admin, "http-01", &id).await.is_error(404);
    world.inner.clock.advance(7200);
    world.solve(&account, "http-01", &id).await.certificate();
    let (id, token) = world.simple(&account, &["b.example.test"], &[]).await.challenge("http-01");
    world.serve(&token);
    world.inner.clock.advance(7201);
    world.solve(&account, "http-01", &id).await.is_error(404);
}

#[tokio::test]
async fn a_token_gets_the_names_that_it_was_granted() {
    let world = World::new().await;
    let account = world.account_with(Scope::Own, &[Permission::OrderCertificate], &[".example.test"]).await;
    world.simple(&account, &["a.example.test"], &[]).await.challenge("http-01");
    let error = world.simple(&account, &["a.other.test"], &[]).await.is_error(400);
    assert!(error.contains("does not grant a.other.test"), "{error}");
    // It orders, and vouches for nothing.
    assert!(!policy::rights::Role::Administrator.permits(Permission::OrderCertificate));
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_owner_or_an_administrator_once() {
    let world = World::new().await;
    let (account, other) = (world.account().await, world.account().await);
    let admin = world.account_with(Scope::Everything, &[Permission::Revoke], &[]).await;
    let forms = |digits: &str| {
        [
            (REVOKE.to_owned(), format!("{{\"SerialNumber\":{digits},\"Reason\":\"superseded\"}}")),
            (REVOKE.to_owned(), format!("{{\"SerialNumber\":\"{digits}\",\"Reason\":\"lost it\"}}")),
            (format!("/api/v1/certificate/{digits}/revoke"), String::new()),
        ]
    };
    for (number, who) in [&account, &account, &admin].into_iter().enumerate() {
        let certificate = world.certified(&account, &format!("n{number}.example.test")).await;
        let digits = decimal(&certificate);
        assert!(digits.len() > 20, "no client's uint64 holds it");
        let (path, body) = forms(&digits)[number].clone();
        let send = async |who: &Account| world.send(Some(who), Method::POST, &path, body.clone().into_bytes()).await;
        send(&other).await.is_error(403);
        if number == 1 {
            // Sealed or not.
            world.seal().await;
        }
        let done = send(who).await;
        assert_eq!((done.status, done.body.len()), (StatusCode::OK, 0), "{done:?}");
        send(who).await.is_error(410);
        send(&account).await.is_error(410);
        world.inner.signer.inner().seal = hsm::wire::SealStatus::Unsealed;
        let _ = world.services().ca.status().await;
    }
    let unknown = "1234567890123456789012345678901234567890";
    for (path, body) in forms(unknown) {
        world.send(Some(&account), Method::POST, &path, body.into_bytes()).await.is_error(400);
    }
    for body in [
        "",
        "{",
        "{}",
        "[1]",
        r#"{"SerialNumber":-1}"#,
        r#"{"SerialNumber":1.5}"#,
        r#"{"SerialNumber":1e3}"#,
        r#"{"SerialNumber":[1]}"#,
        r#"{"SerialNumber":0}"#,
        r#"{"SerialNumber":"x"}"#,
        r#"{"SerialNumber":1,"Reason":2}"#,
    ] {
        world.send(Some(&account), Method::POST, REVOKE, body.as_bytes().to_vec()).await.is_error(400);
    }
}

#[tokio::test]
async fn ocsp_answers_everybody_for_certids_of_every_hash() {
    let world = World::new().await;
    let account = world.account().await;
    let certificate = world.certified(&account, "a.example.test").await;
    let serial = Serial::from_slice(certificate.serial()).unwrap();
    let wrap = |inner: &[u8]| match inner.len() {
        short @ ..0x80 => [&[0x30, short as u8][..], inner].concat(),
        long => [&[0x30, 0x81, long as u8][..], inner].concat(),
    };
    for hash in HashAlgorithm::ALL {
        let id = CertId::new(hash, &world.inner.signer.issuer, serial);
        let request = wrap(&wrap(&wrap(&wrap(id.as_der()))));
        let path = format!("/api/v1/ocsp/{}", STANDARD.encode(&request));
        let posted = world.send(None, Method::POST, "/api/v1/ocsp", request).await;
        let got = world.ask(None, Method::GET, &path).await;
        for answer in [posted, got] {
            assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, OCSP));
            let read = BasicResponse::from_der(&answer.body).unwrap();
            assert_eq!(read.data().responses[0].status, Status::Good, "{hash:?}");
        }
    }
    // malformedRequest
    for answer in [
        world.send(None, Method::POST, "/api/v1/ocsp", b"x".to_vec()).await,
        world.ask(None, Method::GET, "/api/v1/ocsp/eA==").await,
    ] {
        assert_eq!((answer.header("content-type"), &answer.body[..]), (OCSP, &[0x30, 3, 0x0a, 1, 1][..]));
    }
}

const OCSP: &str = "application/ocsp-response";

#[tokio::test]
async fn sealed_everything_that_needs_the_key_says_so_before_it_asks_who() {
    let world = World::new().await;
    let account = world.account().await;
    world.seal().await;
    for (method, path) in [
        (Method::POST, SIMPLE),
        (Method::POST, CSR),
        (Method::POST, "/api/v1/certificate/request"),
        (Method::POST, "/api/v1/http-01/1-x/solve"),
        (Method::GET, "/api/v1/http-01/1-x/solve"),
        (Method::GET, "/api/v1/dns-01/1-x/solve"),
        (Method::POST, "/api/v1/dns-01/1-x/solve"),
    ] {
        let answer = world.ask(None, method, path).await;
        assert_eq!(answer.is_error(503), "strongbox sealed");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(world.ask(Some(&account), Method::GET, ROOT).await.status, StatusCode::OK);
}
