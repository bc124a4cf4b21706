//! Issue, renew, search and export, over a signer that signs.

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode};
use policy::effects::Clock as _;
use policy::rights::Role;
use policy::validity::Validity;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::router;
use super::*;
use crate::service::acme::testing::{World, csr_for, fresh_key};

/// An admin surface over a whole world, and an administrator of it.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) administrator: Peer,
}

impl Desk {
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        let administrator = Self::administrator(&world, "aa").await;
        Self { world, administrator }
    }

    /// Enrols an administrator, whose fingerprint repeats these digits.
    pub(super) async fn administrator(world: &World, digits: &str) -> Peer {
        let fingerprint = digits.repeat(32);
        let now = world.clock.now();
        let record =
            AdministratorRecord { name: digits.to_owned(), enrolled: now, removed: None, role: Role::Administrator };
        let mut change = Change::new();
        change.put(&ADMINISTRATORS, &fingerprint, &record);
        world.store.commit(change).await.unwrap();
        let validity = Validity::new(now, now.plus(300 * DAY)).unwrap();
        Peer { from: "test".to_owned(), certificate: Some(PeerCertificate { fingerprint, serial: None, validity }) }
    }

    /// Sends bytes as they are.
    pub(super) async fn raw(&self, peer: &Peer, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).extension(Arc::new(peer.clone()));
        let request = request.extension(RequestId::generate(&self.world.services.random).unwrap());
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        let response = router(Arc::clone(&self.world.services)).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.raw(&self.administrator, method, path, body).await
    }
}

pub(super) fn csr(common_name: &str, names: &[&str]) -> String {
    der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &csr_for(&fresh_key(), common_name, names))
        .unwrap()
}

const CERTIFICATES: &str = "/admin/v1/certificates";

#[tokio::test]
async fn a_certificate_is_issued_found_exported_and_renewed() {
    let desk = Desk::new().await;
    let body =
        json!({"profile": "server", "csr": csr("", &["a.example.test"]), "not_after": desk.world.clock.now().0 + 3600});
    let (status, issued) = desk.ask(Method::POST, CERTIFICATES, body).await;
    assert_eq!(status, StatusCode::CREATED, "{issued}");
    assert_eq!(issued["private_key"], Value::Null);
    let serial = issued["serial"].as_str().unwrap();
    let (_, page) =
        desk.ask(Method::GET, &format!("{CERTIFICATES}?name=*.example.test&status=valid"), Value::Null).await;
    assert_eq!((&page["certificates"][0]["serial"], &page["next"]), (&issued["serial"], &Value::Null));
    assert_eq!(page["certificates"][0]["not_after"], desk.world.clock.now().0 + 3600);
    let (_, page) = desk.ask(Method::GET, &format!("{CERTIFICATES}/export?serial={serial}"), Value::Null).await;
    let exported = &page["certificates"][0];
    let (_, shown) = desk.ask(Method::GET, &format!("{CERTIFICATES}/{serial}"), Value::Null).await;
    assert_eq!(exported, &shown);
    assert_eq!(shown["record"]["names"][0]["method"], "administrator");

    let body = json!({"generate": "p384"});
    let (status, renewed) = desk.ask(Method::POST, &format!("{CERTIFICATES}/{serial}/renew"), body).await;
    assert_eq!(status, StatusCode::CREATED, "{renewed}");
    assert!(renewed["private_key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let path = format!("{CERTIFICATES}/{}", renewed["serial"].as_str().unwrap());
    let (_, shown) = desk.ask(Method::GET, &path, Value::Null).await;
    assert_eq!((&shown["record"]["replaces"], &shown["names"]), (&issued["serial"], &json!(["a.example.test"])));
}

#[tokio::test]
async fn a_request_that_is_wrong_is_answered_in_a_sentence_and_changes_nothing() {
    let desk = Desk::new().await;
    let pem = csr("", &["a.example.test"]);
    let deep = format!("{{\"profile\":{}", "[".repeat(100_000));
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    for (body, expected) in [
        (json!({"profile": "server"}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": pem, "generate": "p256"}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": "no"}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": pem, "names": ["a b"]}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": pem, "names": ["192.0.2.1"]}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": pem, "not_after": 1}).to_string(), unprocessable),
        (json!({"profile": "server", "csr": pem, "call": "a b"}).to_string(), unprocessable),
        (
            json!({"profile": "server", "generate": "p256", "names": ["a.example.test"], "call": "x"}).to_string(),
            unprocessable,
        ),
        (json!({"profile": "server", "generate": "ed25519", "names": ["a.example.test"]}).to_string(), unprocessable),
        (json!({"profile": "none", "csr": pem}).to_string(), StatusCode::NOT_FOUND),
        (json!({"profile": "server", "csr": pem, "usage": "any"}).to_string(), StatusCode::BAD_REQUEST),
        (json!({"profile": 7}).to_string(), StatusCode::BAD_REQUEST),
        (json!({"generate": "dsa"}).to_string(), StatusCode::BAD_REQUEST),
        ("{\"profile\":\"server\",\"profile\":\"client\"}".to_owned(), StatusCode::BAD_REQUEST),
        (deep, StatusCode::BAD_REQUEST),
        ("[]".to_owned(), StatusCode::BAD_REQUEST),
        (String::new(), StatusCode::BAD_REQUEST),
    ] {
        let (status, problem) = desk.raw(&desk.administrator, Method::POST, CERTIFICATES, body.clone().into()).await;
        let body: String = body.chars().take(100).collect();
        assert_eq!(status, expected, "{body}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    }
    let (status, _) =
        desk.raw(&desk.administrator, Method::POST, CERTIFICATES, b"{\"profile\":\"\xff\"}".to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let none = "1".repeat(40);
    for (path, expected) in [(none.as_str(), StatusCode::NOT_FOUND), ("x", StatusCode::BAD_REQUEST)] {
        let path = format!("{CERTIFICATES}/{path}/renew");
        assert_eq!(desk.ask(Method::POST, &path, json!({"generate": "p256"})).await.0, expected);
    }
    assert_eq!(desk.world.signer.inner().signed, 0);
}

#[tokio::test]
async fn a_request_that_names_itself_is_answered_twice_and_signed_once() {
    let desk = Desk::new().await;
    let body = json!({"profile": "server", "csr": csr("", &["a.example.test"]), "call": "backup-7"});
    let first = desk.ask(Method::POST, CERTIFICATES, body.clone()).await;
    assert_eq!((first.0, desk.ask(Method::POST, CERTIFICATES, body).await), (StatusCode::CREATED, first));
    assert_eq!(desk.world.signer.inner().signed, 1);
}

#[tokio::test]
async fn nothing_is_issued_while_sealed() {
    let desk = Desk::new().await;
    desk.world.signer.inner().seal = SealStatus::Sealed;
    desk.world.services.ca.status().await.unwrap();
    let body = json!({"profile": "server", "csr": csr("", &["a.example.test"])});
    let (status, problem) = desk.ask(Method::POST, CERTIFICATES, body).await;
    assert_eq!((status, problem["detail"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("strongbox sealed")));
}
