mod acme_accounts;
mod acme_orders;
mod certificates;
mod description;
mod doors;
mod nodes;
mod requests;
mod tokens;

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use hsm::wire::SealStatus;
use http::{Method, Request, StatusCode};
use policy::evidence::{AuthorizationRecord, Method as Proof, NameEvidence};
use policy::key::KeyAlgorithm;
use policy::name::Name;
use policy::rights;
use policy::tbs::Role;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::service::RequestId;
use crate::service::acme::Acme;
use crate::service::administrators::{Peer, PeerCertificate};
use crate::store::tables::{
    ADMINISTRATORS, AdministratorRecord, CERTIFICATES, CertificateRecord, JOURNALS, JournalPosition, Revocation,
    index_certificate,
};
use crate::store::{Change, Table};
use crate::testing::{Authority, DAY, KeyPair, NOW, Signer, services as build};

/// An admin surface over a store and a signer of its own.
struct Surface {
    services: Arc<Services>,
    authority: Authority,
    signer: Arc<Signer>,
    acme: tokio::sync::OnceCell<Arc<Acme>>,
    _directory: tempfile::TempDir,
}

fn surface() -> Surface {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let signer = Signer::start(directory.path(), KeyPair::generate(KeyAlgorithm::P256));
    let services = build(directory.path(), &authority, signer.path.clone());
    Surface { services, authority, signer, acme: Default::default(), _directory: directory }
}

impl Surface {
    /// Somebody with a certificate of ours that lasts 30 days from `days` ago.
    fn somebody(&self, days: u64) -> Peer {
        let key = KeyPair::generate(KeyAlgorithm::P256);
        let certificate = self.authority.certificate(Role::Administrator, &key.public(), NOW.minus(days * DAY));
        let certificate = PeerCertificate::read(certificate.der()).unwrap();
        Peer { from: "test".to_owned(), certificate: Some(certificate) }
    }

    async fn enrolled(&self, days: u64, removed: Option<policy::effects::UnixTime>) -> Peer {
        self.enrolled_as(rights::Role::Administrator, days, removed).await
    }

    async fn enrolled_as(&self, role: rights::Role, days: u64, removed: Option<policy::effects::UnixTime>) -> Peer {
        let peer = self.somebody(days);
        let record = AdministratorRecord { name: "Somebody".to_owned(), role, enrolled: NOW, removed };
        let mut change = Change::new();
        change.put(&ADMINISTRATORS, &peer.certificate.as_ref().unwrap().fingerprint, &record);
        self.services.store.commit(change).await.unwrap();
        peer
    }

    async fn administrator(&self) -> Peer {
        self.enrolled(1, None).await
    }

    /// A record of a certificate with these names, as catch-up writes it.
    async fn certificate(&self, names: &[&str]) -> CertificateRecord {
        let key = KeyPair::generate(KeyAlgorithm::P256);
        let certificate = self.authority.certificate(Role::Administrator, &key.public(), NOW.minus(DAY));
        let proof = |name: &&str| NameEvidence {
            name: Name::parse(name).unwrap(),
            method: Proof::Http01,
            at: NOW,
            validator: "1".to_owned(),
            seen: None,
            caa: None,
        };
        let record = CertificateRecord {
            serial: policy::serial::Serial::from_slice(certificate.serial()).unwrap(),
            certificate: certificate.der().to_vec(),
            profile: "server".to_owned(),
            profile_sha256: String::new(),
            issuer: "issuing-1".to_owned(),
            record: AuthorizationRecord {
                actor: "acme:1".to_owned(),
                request_id: "r".to_owned(),
                order: None,
                subject: None,
                replaces: None,
                node: None,
                requester: None,
                names: names.iter().map(proof).collect(),
            },
            journal: "j".to_owned(),
            seq: 1,
            at: NOW,
            revoked: None,
        };
        let mut change = Change::new();
        change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
        index_certificate(&mut change, &record);
        self.services.store.commit(change).await.unwrap();
        record
    }

    async fn send(&self, peer: &Peer, method: &Method, path: &str, body: Option<&Value>) -> Response {
        self.send_as(peer, None, method, path, body).await
    }

    async fn send_as(
        &self,
        peer: &Peer,
        token: Option<&str>,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Response {
        let request = self.request(peer, token, method, path, body);
        self.routes().await.into_router().oneshot(request).await.unwrap()
    }

    fn request(
        &self,
        peer: &Peer,
        token: Option<&str>,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).extension(Arc::new(peer.clone()));
        request = request.extension(RequestId::generate(&self.services.random).unwrap());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = match body {
            None => request.body(Body::empty()),
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        };
        request.unwrap()
    }

    /// Every route of the surface.
    async fn routes(&self) -> Routes<Arc<Services>> {
        let acme = self.acme.get_or_init(|| async { Acme::start(Arc::clone(&self.services)).await.unwrap() }).await;
        super::surface(Arc::clone(&self.services), Arc::clone(acme))
    }

    /// Makes the CA's key usable, or not.
    async fn seal_is(&self, seal: SealStatus) {
        self.signer.state.lock().unwrap().seal = seal;
        self.services.ca.status().await.unwrap();
    }

    async fn ask(&self, peer: &Peer, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.send(peer, &method, path, body.as_ref()).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn the_status_says_what_is_wrong_between_store_and_journal() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let mut change = Change::new();
    change.put(&JOURNALS, "f".repeat(32), &JournalPosition { seq: 7, hash: "0".repeat(64) });
    surface.services.store.commit(change).await.unwrap();
    assert!(surface.services.ca.catch_up().await.is_err());
    let vital = surface.services.ca.status().await.map_err(|error| error.to_string());
    surface.services.vitals.note("ca", vital);
    let (status, body) = surface.ask(&administrator, Method::GET, "/admin/v1/status", None).await;
    assert_eq!((status, body["seal"].as_str(), &body["ready"]), (StatusCode::OK, Some("faulted"), &json!(false)));
    let fault = body["signers"][0]["fault"].as_str().unwrap();
    assert!(fault.contains("accept-journal"), "{fault}");
    assert_eq!(body["signers"][0]["detail"]["journal"], "00".repeat(16));
}

#[tokio::test]
async fn a_box_opens_once_and_only_with_the_right_pin() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let challenge = async || {
        let (status, challenge) = surface.ask(&administrator, Method::POST, "/admin/v1/unseal/challenge", None).await;
        assert_eq!(status, StatusCode::OK);
        challenge["challenge"].clone()
    };
    let open = async |challenge: &Value, ciphertext: &str| {
        let boxed = json!({"challenge": challenge, "encapsulated": "", "ciphertext": ciphertext});
        surface.ask(&administrator, Method::POST, "/admin/v1/unseal", Some(boxed)).await
    };
    let (right, wrong) = ("cmlnaHQ=", "d3Jvbmc=");

    let first = challenge().await;
    let (status, problem) = open(&first, wrong).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("1 wrong attempt(s)") && detail.ends_with("then unseal again"), "{detail}");
    assert_eq!(open(&first, right).await.0, StatusCode::CONFLICT, "a challenge is void after an attempt");
    assert_eq!(open(&challenge().await, right).await.0, StatusCode::NO_CONTENT);
    assert_eq!(surface.signer.state.lock().unwrap().seal, SealStatus::Unsealed);
    let (status, _) = surface.ask(&administrator, Method::POST, "/admin/v1/seal", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(surface.signer.state.lock().unwrap().seal, SealStatus::Sealed);
}

#[tokio::test]
async fn certificates_come_in_pages_that_miss_none_and_repeat_none() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let mut all = BTreeSet::new();
    let mut named = BTreeSet::new();
    for round in 0..7 {
        let names = if round % 2 == 0 { &["a.example.test", "b.example.test"][..] } else { &["b.example.test"] };
        let serial = surface.certificate(names).await.serial.to_string();
        if round % 2 == 0 {
            named.insert(serial.clone());
        }
        all.insert(serial);
    }
    // A longer name with the same beginning is another name.
    all.insert(surface.certificate(&["a.example.testing"]).await.serial.to_string());
    for (filter, expected) in [("", &all), ("&name=a.example.test", &named)] {
        for limit in 1..=9 {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!("/admin/v1/certificates?limit={limit}{filter}{cursor}");
                let (status, page) = surface.ask(&administrator, Method::GET, &path, None).await;
                assert_eq!(status, StatusCode::OK);
                let certificates = page["certificates"].as_array().unwrap();
                assert!(certificates.len() <= limit);
                seen.extend(certificates.iter().map(|one| one["serial"].as_str().unwrap().to_owned()));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen.len(), expected.len());
            assert_eq!(&seen.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}

#[tokio::test]
async fn wrong_parameters_and_unknown_serials_are_answered_in_a_sentence() {
    let surface = surface();
    let administrator = surface.administrator().await;
    for (path, expected) in [
        ("/admin/v1/certificates?limit=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?limit=501", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?page=2", StatusCode::BAD_REQUEST),
        ("/admin/v1/certificates?limit=1&limit=2", StatusCode::BAD_REQUEST),
        ("/admin/v1/certificates?limit=%ff", StatusCode::BAD_REQUEST),
        ("/admin/v1/certificates?status=good", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?spki=00", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?serial=xy", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?method=word", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?issued_after=-1", StatusCode::BAD_REQUEST),
        ("/admin/v1/certificates/export?limit=101", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?cursor=xyz", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates?name=-", StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/v1/certificates/xyz", StatusCode::BAD_REQUEST),
        ("/admin/v1/certificates/0100000000000000000000000000000000000000", StatusCode::NOT_FOUND),
    ] {
        let (status, problem) = surface.ask(&administrator, Method::GET, path, None).await;
        assert_eq!(status, expected, "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
}

#[tokio::test]
async fn a_certificate_that_another_ca_signed_is_not_revoked_here() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let mut record = surface.certificate(&[]).await;
    // Another CA, even one of the same name.
    let foreign = Authority::new();
    let what = foreign.issuer.certificate().to_vec();
    let parsed = policy::tbs::Certificate::from_der(&what).unwrap();
    record.serial = policy::serial::Serial::from_slice(parsed.serial()).unwrap();
    record.certificate = what;
    let mut change = Change::new();
    change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
    surface.services.store.commit(change).await.unwrap();
    let path = format!("/admin/v1/certificates/{}/revoke", record.serial);
    let (status, problem) = surface.ask(&administrator, Method::POST, &path, Some(json!({"reason": null}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("alone can revoke it"), "{problem}");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_act_through_an_administrators_browser() {
    let surface = surface();
    let administrator = surface.administrator().await;
    surface.signer.state.lock().unwrap().seal = SealStatus::Unsealed;
    let request = Request::builder().method(Method::POST).uri("/admin/v1/seal").header("origin", "https://evil.test");
    let request = request.header("content-type", "text/plain").extension(Arc::new(administrator));
    let request = request.extension(RequestId::generate(&surface.services.random).unwrap()).body(Body::empty());
    let response = routes(Arc::clone(&surface.services)).into_router().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(surface.signer.state.lock().unwrap().seal, SealStatus::Unsealed);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let surface = surface();
    let administrator = surface.administrator().await;
    surface.enrolled(1, Some(NOW)).await;
    let fingerprint = &administrator.certificate.as_ref().unwrap().fingerprint;
    let (status, all) = surface.ask(&administrator, Method::GET, "/admin/v1/administrators", None).await;
    assert_eq!((status, all.as_array().unwrap().len()), (StatusCode::OK, 2));
    let path = format!("/admin/v1/administrators/{fingerprint}");
    let (status, problem) = surface.ask(&administrator, Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("last administrator"));
    let (status, _) = surface.ask(&administrator, Method::DELETE, "/admin/v1/administrators/00", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn limits_are_explained_and_released_by_account_address_and_name() {
    let surface = surface();
    let administrator = surface.administrator().await;
    for (subject, kind) in [("a.example.test", "name"), ("192.0.2.1", "address"), ("x_-1", "account")] {
        let path = format!("/admin/v1/limits/explain?subject={subject}");
        let (status, explained) = surface.ask(&administrator, Method::GET, &path, None).await;
        assert_eq!((status, &explained["kind"]), (StatusCode::OK, &json!(kind)), "{explained}");
        assert!(explained["limits"].as_array().unwrap().iter().any(|one| one["limit"] == "orders"), "{explained}");
        let body = Some(json!({"subject": subject}));
        let (status, problem) = surface.ask(&administrator, Method::POST, "/admin/v1/limits/release", body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "nothing is held against it: {problem}");
    }
    let mut change = Change::new();
    surface
        .services
        .limits
        .failed(&mut change, "x", &Name::parse("a.example.test").unwrap(), "nobody answered", NOW)
        .unwrap();
    surface.services.store.commit(change).await.unwrap();
    let (_, failing) = surface.ask(&administrator, Method::GET, "/admin/v1/limits/failing", None).await;
    assert_eq!(failing[0]["why"], "nobody answered");
    let (_, failing) = surface.ask(&administrator, Method::GET, "/admin/v1/limits/failing?paused=true", None).await;
    assert_eq!(failing, json!([]));
    let body = Some(json!({"subject": "a.example.test"}));
    let (status, released) = surface.ask(&administrator, Method::POST, "/admin/v1/limits/release", body).await;
    assert_eq!((status, &released["failing"][0]["account"]), (StatusCode::OK, &json!("x")));
    let (status, _) = surface.ask(&administrator, Method::GET, "/admin/v1/limits/explain?subject=a%20b", None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_profile_is_checked_with_its_line() {
    let surface = surface();
    let administrator = surface.administrator().await;
    let good = include_str!("../../../../packaging/profiles/server.toml");
    let check = |text: &str| Some(json!({"file": "other.toml", "text": text}));
    let (status, profile) = surface.ask(&administrator, Method::POST, "/admin/v1/profiles/check", check(good)).await;
    assert_eq!((status, profile["name"].as_str()), (StatusCode::OK, Some("other")));
    let (status, problem) = surface
        .ask(&administrator, Method::POST, "/admin/v1/profiles/check", check("version = 1\nnonsense = 1\n"))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().starts_with("other.toml:"), "{problem}");
    let (_, list) = surface.ask(&administrator, Method::GET, "/admin/v1/profiles", None).await;
    assert_eq!(list[0]["name"], "server");
}

proptest! {
    #[test]
    fn no_body_panics_and_what_is_read_is_written_alike(text in "\\PC{0,200}") {
        let read = serde_json::from_str::<unseal::UnsealBox>(&text);
        let _ = serde_json::from_str::<revoke::Revocation>(&text);
        let _ = serde_json::from_str::<profiles::Check>(&text);
        prop_assert!(read.is_err());
    }

    #[test]
    fn a_box_survives_its_journey(challenge: [u8; 32], encapsulated: Vec<u8>, ciphertext: Vec<u8>) {
        let sent = unseal::UnsealBox { challenge, encapsulated, ciphertext };
        let text = serde_json::to_string(&sent).unwrap();
        prop_assert_eq!(serde_json::from_str::<unseal::UnsealBox>(&text).unwrap(), sent);
    }

    #[test]
    fn no_query_panics(query in "[a-z=&%0-9*:.]{0,60}") {
        let uri = format!("/?{query}").parse().unwrap();
        if let Ok(parameters) = axum::extract::Query::<super::certificates::Parameters>::try_from_uri(&uri) {
            let _ = super::certificates::read(&parameters, 100);
        }
    }
}

#[tokio::test]
async fn a_question_with_a_ground_looks_at_nothing_that_does_not_rest_on_it() {
    const NO_RECORD: Table<u8> = Table::new("certificates");
    let surface = surface();
    let administrator = surface.administrator().await;
    let record = surface.certificate(&["a.example.test"]).await;
    surface.services.store.index_certificates().await.unwrap();
    // Whoever looks at this one fails.
    let mut change = Change::new();
    change.put(&NO_RECORD, [1; 20], &1);
    surface.services.store.commit(change).await.unwrap();
    let find = async |part: Value| {
        let mut question = json!({"deed": {"act": "revoke"}});
        question.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        surface.ask(&administrator, Method::POST, "/admin/v1/certificates/find", Some(question)).await
    };
    for part in [
        json!({"account": "1"}),
        json!({"validator": "1", "profile": "server"}),
        json!({"method": "http-01", "issued_before": NOW.0 + 1}),
        json!({"account": "1", "method": "http-01"}),
    ] {
        let (status, found) = find(part.clone()).await;
        assert_eq!((status, &found["serials"]), (StatusCode::OK, &json!([record.serial])), "{part}");
    }
    for part in [json!({"account": "2"}), json!({"account": "1", "method": "dns-01"}), json!({"method": "dns-01"})] {
        assert_eq!(find(part.clone()).await.1["serials"], json!([]), "{part}");
    }
    assert_eq!(find(json!({"profile": "server"})).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}
