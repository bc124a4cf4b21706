//! Section 2: certificate requests, and what becomes of them.

use aws_lc_rs::signature::EcdsaKeyPair;
use http::Method;
use policy::key::KeyAlgorithm;
use policy::tbs::{Certificate, Role};
use serde_json::{Value, json};

use super::world::{Answer, World};
use crate::issuance::testing::Fault;
use crate::service::acme::testing::{csr_for, fresh_key};
use crate::testing::{Authority, KeyPair, NOW};

const REQUESTS: &str = "/api/v1/certificate_requests";

fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, der).unwrap()
}

fn csr_of(key: &EcdsaKeyPair, name: &str) -> String {
    pem(&csr_for(key, name, &[name]))
}

fn csr(name: &str) -> String {
    csr_of(&fresh_key(), name)
}

/// A CSR, and a chain of another CA for its key.
fn with_foreign_chain() -> (String, String) {
    let (authority, key) = (Authority::new(), KeyPair::generate(KeyAlgorithm::P256));
    let leaf = authority.certificate(Role::Administrator, &key.public(), NOW).to_pem();
    let root = Certificate::from_der(&authority.root()).unwrap().to_pem();
    let KeyPair::Ec(key) = &key else { panic!("not P-256") };
    (csr_of(key, "other.example.test"), format!("{leaf}\n{root}"))
}

/// The certificates of a request.
fn chain(request: &Value) -> Vec<Certificate> {
    let text = request["certificate_chain"].as_str().unwrap();
    let blocks = text.split_inclusive("-----END CERTIFICATE-----\n");
    blocks.map(|block| Certificate::from_der(&der::pem::decode_vec(block.as_bytes()).unwrap().1).unwrap()).collect()
}

impl World {
    async fn submit(&self, session: &str, csr: &str) -> u64 {
        self.post(session, REQUESTS, json!({"csr": csr})).await.created()
    }

    async fn request(&self, session: &str, id: u64) -> Value {
        self.get(session, &format!("{REQUESTS}/{id}")).await.data(200)
    }

    async fn list(&self, session: &str) -> Vec<Value> {
        self.get(session, REQUESTS).await.data(200).as_array().unwrap().clone()
    }

    async fn sign(&self, session: &str, id: u64) -> Answer {
        self.post(session, &format!("{REQUESTS}/{id}/sign"), json!({"certificate_authority_id": "1"})).await
    }

    async fn upload(&self, session: &str, id: u64, chain: &str) -> Answer {
        self.post(session, &format!("{REQUESTS}/{id}/certificate"), json!({"certificate": chain})).await
    }

    async fn act(&self, session: &str, method: Method, id: u64, what: &str) -> Answer {
        self.ask(session, method, &format!("{REQUESTS}/{id}{what}"), None).await
    }
}

#[tokio::test]
async fn certificate_requests_end_to_end() {
    let (world, admin) = World::administered().await;
    assert_eq!(world.list(&admin).await, [] as [Value; 0]);
    // It is found again by whoever compares the text, so it comes back octet by octet.
    let first = format!("\n{}\r\n\n", csr("a.example.test").replace('\n', "\r\n"));
    assert_eq!(world.submit(&admin, &first).await, 1);
    let list = world.list(&admin).await;
    let expected = json!({
        "id": 1, "csr": first, "certificate_chain": "", "status": "Outstanding", "email": "admin@example.com"
    });
    assert_eq!(list, std::slice::from_ref(&expected));
    assert_eq!(world.request(&admin, 1).await, expected);
    let said = "given csr already recorded";
    for same in [first.clone(), first.trim().replace("\r\n", "\n")] {
        world.post(&admin, REQUESTS, json!({"csr": same})).await.is_error(400, said, said);
    }
    assert_eq!(world.list(&admin).await.len(), 1);
    assert_eq!(world.submit(&admin, &csr("b.example.test")).await, 2);
    assert_eq!(world.list(&admin).await.len(), 2);
    assert_eq!(world.request(&admin, 2).await["id"], 2);
    world.act(&admin, Method::DELETE, 1, "").await.done(202);
    assert_eq!(world.list(&admin).await.len(), 1);
    world.act(&admin, Method::DELETE, 2, "").await.done(202);
    world.act(&admin, Method::DELETE, 2, "").await.is_missing();
    // What was deleted can come again, under another number.
    assert_eq!(world.submit(&admin, &first).await, 3);
    assert_eq!(world.journalled("request_deleted"), 2);
    for what in ["", "/sign", "/reject", "/certificate", "/certificate/revoke"] {
        let method = if what.is_empty() { Method::DELETE } else { Method::POST };
        let body = json!({"certificate_authority_id": "1", "certificate": with_foreign_chain().1});
        for (id, status) in [("99", 404), ("x", 400), ("-1", 400)] {
            let path = format!("{REQUESTS}/{id}{what}");
            let answer = world.ask(&admin, method.clone(), &path, Some(body.clone())).await;
            match status {
                404 => answer.is_missing(),
                _ => answer.is_error(400, "invalid ID", "Invalid ID"),
            }
        }
    }
}

#[tokio::test]
async fn a_requestor_sees_what_is_his_own() {
    let (world, admin) = World::administered().await;
    let foreign = world.submit(&admin, &csr("a.example.test")).await;
    let (account, requestor) = world.account(&admin, "requestor@example.com", 2).await;
    for name in ["b.example.test", "c.example.test"] {
        world.submit(&requestor, &csr(name)).await;
    }
    assert_eq!(world.list(&requestor).await.len(), 2);
    assert_eq!(world.request(&requestor, 2).await["email"], "requestor@example.com");
    let refused = world.get(&requestor, &format!("{REQUESTS}/{foreign}")).await;
    refused.is_error(403, "access denied", "Access denied");
    let (_, reader) = world.account(&admin, "reader@example.com", 3).await;
    assert_eq!(world.list(&reader).await.len(), 3);
    world.ask(&admin, Method::DELETE, &format!("/api/v1/accounts/{account}"), None).await.done(202);
    assert_eq!(world.request(&admin, 2).await["email"], "unknown");
}

#[tokio::test]
async fn a_chain_of_another_ca_is_put_to_its_request_and_taken_away() {
    let (world, admin) = World::administered().await;
    let (csr, foreign) = with_foreign_chain();
    let id = world.submit(&admin, &csr).await;
    assert_eq!(world.upload(&admin, id, &foreign).await.created(), id);
    let request = world.request(&admin, id).await;
    assert_eq!((&request["status"], chain(&request).len()), (&json!("Active"), 2));
    // It is not ours to revoke.
    let refused = world.act(&admin, Method::POST, id, "/certificate/revoke").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    world.act(&admin, Method::POST, id, "/reject").await.done(202);
    let request = world.request(&admin, id).await;
    assert_eq!((&request["status"], &request["certificate_chain"]), (&json!("Rejected"), &json!("")));
    // The certificate goes, and the request stays.
    world.upload(&admin, id, &foreign).await.created();
    world.act(&admin, Method::DELETE, id, "/certificate").await.done(200);
    assert_eq!(world.request(&admin, id).await["status"], "Outstanding");
    world.act(&admin, Method::DELETE, id, "/certificate").await.is_missing();
    let refused = world.act(&admin, Method::POST, id, "/certificate/revoke").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    world.act(&admin, Method::DELETE, id, "").await.done(202);
    world.get(&admin, &format!("{REQUESTS}/{id}")).await.is_missing();
    let acts = ["chain_uploaded", "chain_removed", "request_rejected"].map(|act| world.journalled(act));
    assert_eq!(acts, [2, 1, 1]);
}

#[tokio::test]
async fn what_is_no_csr_or_no_chain_is_refused_and_changes_nothing() {
    let (world, admin) = World::administered().await;
    let block = |label: &str| {
        format!("-----BEGIN {label}-----\nMIIBVwIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAuQ==\n-----END {label}-----")
    };
    for (csr, newer, older) in [
        (String::new(), "invalid request: csr is required", "Invalid request: csr is required"),
        (
            "Bad format".to_owned(),
            "invalid request: could not decode PEM block",
            "Invalid request: could not decode PEM block",
        ),
        (
            block("PRIVATE KEY"),
            "invalid request: expected PEM block type 'CERTIFICATE REQUEST'",
            "Invalid request: expected PEM block type 'CERTIFICATE REQUEST'",
        ),
        (block("CERTIFICATE REQUEST"), "invalid request: could not parse CSR", "Invalid request: could not parse CSR"),
    ] {
        world.post(&admin, REQUESTS, json!({"csr": csr})).await.is_error(400, newer, older);
    }
    // Another signature than its own key's.
    let mut forged = csr_for(&fresh_key(), "", &["a.example.test"]);
    *forged.last_mut().unwrap() ^= 1;
    let refused = world.post(&admin, REQUESTS, json!({"csr": pem(&forged)})).await;
    assert!(refused.status == 400 && refused.body.contains("csr validation failed"), "{refused:?}");
    assert_eq!(world.list(&admin).await.len(), 0);

    let (csr, foreign) = with_foreign_chain();
    let (id, before) = (world.submit(&admin, &csr).await, world.inner.signer.inner().lines.len());
    let (leaf, root) = foreign.split_once("\n\n").unwrap();
    for (text, newer, older) in [
        (String::new(), "invalid request: certificate is required", "Invalid request: certificate is required"),
        (
            "Bad format".to_owned(),
            "invalid request: could not decode PEM block",
            "Invalid request: could not decode PEM block",
        ),
        (
            block("PRIVATE KEY"),
            "invalid request: expected PEM block type 'CERTIFICATE'",
            "Invalid request: expected PEM block type 'CERTIFICATE'",
        ),
        (
            block("CERTIFICATE"),
            "invalid request: could not parse certificate",
            "Invalid request: could not parse certificate",
        ),
        (leaf.to_owned(), "bad request", "Bad Request"),
        (format!("{root}\n{leaf}"), "bad request", "Bad Request"),
        (with_foreign_chain().1, "bad request", "Bad Request"),
    ] {
        world.upload(&admin, id, &text).await.is_error(400, newer, older);
    }
    assert_eq!(world.request(&admin, id).await["status"], "Outstanding");
    assert_eq!(world.inner.signer.inner().lines.len(), before, "nothing was journalled");
}

#[tokio::test]
async fn a_manager_signs_exactly_the_names_of_the_csr_and_revokes() {
    let (world, admin) = World::administered().await;
    let (_, requestor) = world.account(&admin, "requestor@example.com", 2).await;
    let (_, manager) = world.account(&admin, "manager@example.com", 1).await;
    let id = world.submit(&requestor, &csr("a.example.test")).await;
    let sign = |body: Value| world.post(&manager, "/api/v1/certificate_requests/1/sign", body);
    for (body, status, newer) in [
        (json!({"certificate_authority_id": 1}), 400, "invalid JSON format"),
        (json!({"certificate_authority_id": ""}), 400, "invalid certificate authority ID"),
        (json!({"certificate_authority_id": "x"}), 400, "invalid certificate authority ID"),
        (
            json!({"certificate_authority_id": "1", "signing_method": "x"}),
            400,
            "invalid signing_method: must be 'ca' or 'acme'",
        ),
        (json!({"certificate_authority_id": "", "signing_method": "acme"}), 503, "ACME is not configured"),
        (json!({"certificate_authority_id": "99"}), 404, "not found"),
    ] {
        let answer = sign(body.clone()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["message"]), (status, &json!(newer)), "{body}");
    }
    sign(json!({"certificate_authority_id": "1", "signing_method": "ca"})).await.done(202);
    let request = world.request(&requestor, id).await;
    let certificates = chain(&request);
    assert_eq!((&request["status"], certificates.len()), (&json!("Active"), 2));
    assert_eq!(certificates[0].names().iter().map(ToString::to_string).collect::<Vec<_>>(), ["a.example.test"]);
    assert_eq!(certificates[0].common_name().as_deref(), Some("a.example.test"));
    // The decision and its reasons are in the journal; twice is once.
    sign(json!({"certificate_authority_id": "1"})).await.done(202);
    let lines = world.inner.signer.inner().lines.clone();
    let entry = lines.iter().find(|line| line.contains("\"type\":\"certificate\"")).unwrap();
    for part in
        ["\"actor\":\"notary:3\"", "\"requester\":\"notary:2\"", "\"order\":\"notary:1:1\"", "\"administrator\""]
    {
        assert!(entry.contains(part), "{part} in {entry}");
    }
    assert_eq!((world.journalled("\"type\":\"request_approved\""), world.inner.signer.inner().signed), (1, 1));
    // While it is good it is not lost sight of.
    let refused = world.act(&manager, Method::POST, id, "/reject").await;
    assert!(refused.status == 400 && refused.body.contains("revoke it first"), "{refused:?}");
    world.act(&manager, Method::POST, id, "/certificate/revoke").await.done(202);
    world.act(&manager, Method::POST, id, "/certificate/revoke").await.done(202);
    let request = world.request(&requestor, id).await;
    assert_eq!((&request["status"], &request["certificate_chain"]), (&json!("Revoked"), &json!("")));
    assert_eq!(world.journalled("\"type\":\"revoked\""), 1);
    // It can be signed again, and deleted; the certificate stays on record.
    world.sign(&manager, id).await.done(202);
    assert_eq!(world.request(&admin, id).await["status"], "Active");
    world.act(&manager, Method::DELETE, id, "").await.done(202);
    assert_eq!(world.inner.signer.inner().signed, 2);
}

#[tokio::test]
async fn what_the_profile_does_not_take_is_refused_and_the_request_stays() {
    let (world, admin) = World::administered().await;
    let id = world.submit(&admin, &pem(&csr_for(&fresh_key(), "", &["192.0.2.1"]))).await;
    let refused = world.sign(&admin, id).await;
    assert!(refused.status == 400 && refused.body.contains("192.0.2.1"), "{refused:?}");
    assert_eq!(world.request(&admin, id).await["status"], "Outstanding");
    assert_eq!((world.journalled("request_approved"), world.inner.signer.inner().signed), (0, 0));
}

#[tokio::test]
async fn an_answer_of_the_signer_that_is_lost_makes_no_second_certificate() {
    let (world, admin) = World::administered().await;
    let id = world.submit(&admin, &csr("a.example.test")).await;
    world.inner.signer.inner().faults.push(Fault::LoseAnswer);
    world.sign(&admin, id).await.done(202);
    assert_eq!(world.request(&admin, id).await["status"], "Active");
    assert_eq!(world.inner.signer.certificates().len(), 1);
    // What one signs of one's own is one's own word: nobody approved it.
    assert_eq!(world.journalled("request_approved"), 0);
}

#[tokio::test]
async fn a_certificate_that_is_journalled_and_not_recorded_completes_its_request() {
    let (world, admin) = World::administered().await;
    let (first, second) =
        (world.submit(&admin, &csr("a.example.test")).await, world.submit(&admin, &csr("b.example.test")).await);
    world.sign(&admin, first).await.done(202);
    let line = world.inner.signer.inner().lines.iter().rfind(|line| line.contains("\"certificate\"")).unwrap()[65..]
        .to_owned();
    // As if the daemon had crashed when it was about to record the second one.
    let mut entry: hsm::journal::Entry = serde_json::from_str(&line).unwrap();
    let hsm::journal::Event::Certificate { record, .. } = &mut entry.event else { panic!("{line}") };
    record.order = Some(format!("notary:{second}:0"));
    world.inner.signer.journal("notary:1", entry.event);
    world.services().ca.catch_up().await.unwrap();
    assert_eq!(world.request(&admin, second).await["status"], "Active");
}

#[tokio::test]
async fn metrics_count_requests_and_certificates_under_notarys_names() {
    let (world, admin) = World::administered().await;
    let id = world.submit(&admin, &csr("a.example.test")).await;
    world.submit(&admin, &csr("b.example.test")).await;
    world.sign(&admin, id).await.done(202);
    let text = world.get("", "/metrics").await.body;
    for line in [
        "certificate_requests 2",
        "outstanding_certificate_requests 1",
        "certificates 1",
        "certificates_expired 0",
        "certificates_expiring_in_1_day 0",
        "certificates_expiring_in_7_days 0",
        "certificates_expiring_in_30_days 0",
        "certificates_expiring_in_90_days 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}
