//! What happens over time: issuing, losing, sealing, revoking, restarting.

use http::StatusCode;
use policy::serial::Serial;
use policy::tbs::Certificate;
use serde_json::json;

use super::client::{Client, encode};
use crate::issuance::testing::{Fault, JOURNAL};
use crate::service::acme::testing::{World, csr, csr_with, fresh_key};
use crate::store::Change;
use crate::store::tables::{CERTIFICATES, JOURNALS, JournalPosition};
use hsm::wire::SealStatus;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_pending_to_a_chain_that_verifies() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["b.example.test", "a.example.test"]).await;
    assert_eq!(order.json()["status"], "pending");
    assert_eq!(order.json()["identifiers"][0]["value"], "b.example.test");
    let url = order.header("location").to_owned();
    assert_eq!(client.finalize(&url, &csr(&["a.example.test", "b.example.test"])).await.error(), "orderNotReady");
    for authorization in order.json()["authorizations"].as_array().unwrap() {
        client.authorize(&world, authorization.as_str().unwrap()).await;
    }
    assert_eq!(client.read(&url).await.json()["status"], "ready");
    let answer = client.finalize(&url, &csr(&["a.example.test", "b.example.test"])).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("valid")), "{answer:?}");
    let chain = client.read(answer.json()["certificate"].as_str().unwrap()).await;
    let pem = String::from_utf8(chain.body).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.matches("BEGIN").count() == 2, "{pem}");
    let der = client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    let certificate = Certificate::from_der(&der).unwrap();
    certificate.verify(world.signer.issuer.key()).unwrap();
    assert_eq!(certificate.names().len(), 2);
    assert_eq!(client.finalize(&url, &csr(&["a.example.test", "b.example.test"])).await.error(), "orderNotReady");
    assert_eq!(world.signer.certificates().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_already_validated_make_the_next_order_ready_until_they_expire() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    client.issue(&world, &["a.example.test"]).await;
    assert_eq!(client.order(&["a.example.test"]).await.json()["status"], "ready");
    assert_eq!(client.order(&["a.example.test", "b.example.test"]).await.json()["status"], "pending");
    assert_eq!(Client::new(&world).await.order(&["a.example.test"]).await.json()["status"], "pending");
    world.clock.advance(8 * 86_400);
    assert_eq!(client.order(&["a.example.test"]).await.json()["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_too_old_for_the_profile_is_not_reused() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    client.issue(&world, &["a.example.test"]).await;
    let identifiers = json!([{"type": "dns", "value": "a.example.test"}]);
    let order = async |profile: &str| {
        client.post("/acme/new-order", json!({"identifiers": identifiers, "profile": profile})).await.json()
    };
    assert_eq!(order("fresh").await["status"], "ready");
    // The profile `fresh` takes proofs of at most one day; an order lasts no longer than its proofs.
    world.clock.advance(80_000);
    let late = order("fresh").await;
    assert_eq!((&late["status"], &late["expires"]), (&json!("ready"), &json!("2026-11-24T00:00:00Z")));
    world.clock.advance(6_000);
    assert_eq!(order("fresh").await["status"], "pending");
    assert_eq!(order("server").await["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_authorization_expired_is_invalid() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    world.clock.advance(2 * 86_400);
    assert_eq!(client.read(&order).await.json()["status"], "invalid");
    assert_eq!(client.finalize(&order, &csr(&["a.example.test"])).await.error(), "orderNotReady");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_still_completes_the_order_with_one_certificate() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::Serial, Fault::Token] {
        let order = client.ready_order(&world, &["a.example.test"]).await;
        let before = world.signer.certificates().len();
        world.signer.inner().faults.push(fault);
        let answer = client.finalize(&order, &csr(&["a.example.test"])).await;
        assert_eq!(answer.status, StatusCode::OK, "{fault:?}: {answer:?}");
        assert_eq!(world.signer.certificates().len(), before + 1, "{fault:?}");
        client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_signer_signed_wrongly_is_never_released() {
    for fault in [Fault::OtherBytes, Fault::WrongSignature] {
        let world = World::new().await;
        let client = Client::new(&world).await;
        let order = client.ready_order(&world, &["a.example.test"]).await;
        world.signer.inner().faults.push(fault);
        let answer = client.finalize(&order, &csr(&["a.example.test"])).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "serverInternal"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_journal_completes_the_order_and_brings_the_certificate() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    // Another life of the daemon had it signed and crashed before it was recorded.
    let id = order.rsplit('/').next().unwrap().to_owned();
    let other = World::new().await;
    let stranger = Client::new(&other).await;
    stranger.issue(&other, &["a.example.test"]).await;
    let event = other
        .signer
        .inner()
        .lines
        .iter()
        .map(|line| line[65..].to_owned())
        .find(|json| json.contains("\"certificate\""));
    let mut entry: hsm::journal::Entry = serde_json::from_str(&event.unwrap()).unwrap();
    if let hsm::journal::Event::Certificate { record, .. } = &mut entry.event {
        record.order = Some(id);
        record.actor = format!("acme:{}", client.kid.rsplit('/').next().unwrap());
    }
    world.signer.journal("acme", entry.event);
    let world = world.restart().await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    let answer = client.read(&order).await;
    assert_eq!(answer.json()["status"], "valid", "{answer:?}");
    client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_journal_completed_meanwhile_is_not_signed_again() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    client.issue(&world, &["a.example.test"]).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    world.journal_completes(&order);
    let signed = world.signer.inner().signed;
    let answer = client.finalize(&order, &csr(&["a.example.test"])).await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::FORBIDDEN, "orderNotReady"), "{answer:?}");
    assert_eq!(world.signer.inner().signed, signed);
    assert_eq!(client.read(&order).await.json()["status"], "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizing_one_order_many_times_at_once_makes_one_certificate() {
    let world = World::new().await;
    let client = std::sync::Arc::new(Client::new(&world).await);
    let order = client.ready_order(&world, &["a.example.test"]).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (client, order) = (client.clone(), order.clone());
            tokio::spawn(async move { client.finalize(&order, &csr(&["a.example.test"])).await.status })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        match task.await.unwrap() {
            StatusCode::OK => good += 1,
            status => assert_eq!(status, StatusCode::FORBIDDEN),
        }
    }
    assert_eq!((good, world.signer.certificates().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalize_that_is_repeated_with_the_same_key_is_answered_with_the_valid_order() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    let key = fresh_key();
    let first = client.finalize(&order, &csr_with(&key, &["a.example.test"])).await;
    // The answer was lost on its way, and the client made its CSR anew.
    let again = client.finalize(&order, &csr_with(&key, &["a.example.test"])).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, first.json()));
    let other = client.finalize(&order, &csr(&["a.example.test"])).await;
    assert_eq!((other.status, other.error().as_str()), (StatusCode::FORBIDDEN, "orderNotReady"));
    assert_eq!(world.signer.certificates().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalize_of_an_order_that_the_journal_completed_with_the_same_key_is_answered_with_it() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let key = fresh_key();
    let before = client.ready_order(&world, &["a.example.test"]).await;
    client.finalize(&before, &csr_with(&key, &["a.example.test"])).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    world.journal_completes(&order);
    let answer = client.finalize(&order, &csr_with(&key, &["a.example.test"])).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("valid")), "{answer:?}");
    client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    assert_eq!(world.signer.inner().signed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_every_endpoint_says_so_and_unsealed_the_same_client_goes_on() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    world.signer.inner().seal = SealStatus::Sealed;
    world.services.ca.status().await.unwrap();
    for path in super::contract::POST_PATHS {
        let answer = client.plain("POST", path).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "serverInternal"));
        assert_eq!(answer.json()["detail"], "strongbox sealed");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    assert_eq!(client.plain("GET", "/directory").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.plain("HEAD", "/acme/new-nonce").await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.signer.inner().seal = SealStatus::Unsealed;
    world.services.ca.status().await.unwrap();
    client.issue(&world, &["a.example.test"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_store_and_journal_contradict_each_other_every_request_is_told_to_come_back() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    let mut change = Change::new();
    change.delete(&JOURNALS, JOURNAL);
    change.put(&JOURNALS, "f".repeat(32), &JournalPosition { seq: 7, hash: "0".repeat(64) });
    world.store.commit(change).await.unwrap();
    // The first who finds out, and those after him, although the signer itself is well.
    world.signer.restart();
    for _ in 0..2 {
        let answer = client.finalize(&order, &csr(&["a.example.test"])).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "serverInternal"));
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        world.services.ca.status().await.unwrap();
        assert_eq!(client.plain("GET", "/directory").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let health = world.services.health();
    assert_eq!((health.ready, health.seal), (false, "faulted"));
    assert_eq!(world.signer.certificates().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_revoke_revokes_and_nobody_else() {
    let world = World::new().await;
    let (owner, other) = (Client::new(&world).await, Client::new(&world).await);
    let url = owner.issue(&world, &["a.example.test"]).await;
    let der = owner.certificate(&url).await;
    let revoke = |reason: serde_json::Value| json!({"certificate": encode(&der), "reason": reason});
    assert_eq!(other.post("/acme/revoke-cert", revoke(json!(1))).await.error(), "unauthorized");
    for reason in [2, 6, 7, 9, 11, -1, 300] {
        assert_eq!(owner.post("/acme/revoke-cert", revoke(json!(reason))).await.error(), "badRevocationReason");
    }
    let answer = owner.post("/acme/revoke-cert", revoke(json!(4))).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "{answer:?}");
    let again = owner.post("/acme/revoke-cert", revoke(json!(4))).await;
    assert_eq!(again.error(), "alreadyRevoked");
    let serial = Serial::from_slice(Certificate::from_der(&der).unwrap().serial()).unwrap();
    let record = world.store.get(&CERTIFICATES, serial.as_bytes()).unwrap().unwrap().value;
    assert_eq!(record.revoked.unwrap().reason, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_authorizations_for_all_names_may_revoke() {
    let world = World::new().await;
    let (owner, other) = (Client::new(&world).await, Client::new(&world).await);
    let der = owner.certificate(&owner.issue(&world, &["a.example.test"]).await).await;
    other.ready_order(&world, &["a.example.test"]).await;
    let answer = other.post("/acme/revoke-cert", json!({"certificate": encode(&der)})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_own_key_may_revoke() {
    let world = World::new().await;
    let (owner, mut holder) = (Client::new(&world).await, Client::stranger(&world));
    let key = crate::service::acme::testing::fresh_key();
    let order = owner.ready_order(&world, &["a.example.test"]).await;
    let request = crate::service::acme::testing::csr_with(&key, &["a.example.test"]);
    let answer = owner.finalize(&order, &request).await;
    let der = owner.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    let payload = json!({"certificate": encode(&der), "reason": 1}).to_string();
    for good in [false, true] {
        if good {
            let pkcs8 = key.to_pkcs8v1().unwrap();
            holder.key = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
                &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                pkcs8.as_ref(),
            )
            .unwrap();
        }
        let mut header = holder.header("/acme/revoke-cert").await;
        header["jwk"] = holder.jwk();
        header.as_object_mut().unwrap().remove("kid");
        let answer = holder.send("/acme/revoke-cert", &holder.sign(&header, &payload)).await;
        assert_eq!(answer.status, if good { StatusCode::OK } else { StatusCode::FORBIDDEN }, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_fails_says_why_and_makes_the_order_invalid() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await;
    let url = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.http01(&url).await;
    let token = challenge["token"].as_str().unwrap();
    world.web.put(&format!("/.well-known/acme-challenge/{token}"), "something else");
    client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    let settled = client.settled(&url).await;
    assert_eq!(settled["status"], "invalid");
    let error = &settled["challenges"][0]["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:incorrectResponse");
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("something else") && detail.contains("a.example.test"), "{detail}");
    let order = client.read(order.header("location")).await.json();
    assert_eq!((order["status"].as_str(), order["error"]["type"].as_str()), (Some("invalid"), error["type"].as_str()));
    // A final challenge stays as it is.
    let answer = client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("invalid")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_that_a_crash_interrupted_goes_on_at_the_next_start() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await;
    let url = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    let id = url.rsplit('/').next().unwrap();
    let token = client.http01(&url).await["token"].as_str().unwrap().to_owned();
    world.web.put(&format!("/.well-known/acme-challenge/{token}"), &client.key_authorization(&token));
    crate::service::acme::testing::interrupt(&world.store, id).await;
    assert_eq!(client.read(&url).await.json()["challenges"][0]["status"], "processing");
    let world = world.restart().await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    assert_eq!(client.settled(&url).await["status"], "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_expired_while_it_was_validated_does_not_become_valid() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await;
    let url = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.http01(&url).await;
    let token = challenge["token"].as_str().unwrap();
    world.web.put(&format!("/.well-known/acme-challenge/{token}"), &client.key_authorization(token));
    // The web server waits for this lock before it answers.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (answers, (held, holding)) = (world.web.answers.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let _held = answers.lock();
        held.send(()).unwrap();
        let _ = released.recv();
    });
    holding.recv().unwrap();
    client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    world.clock.advance(8 * 86_400);
    assert_eq!(client.read(&url).await.json()["status"], "invalid");
    drop(release);
    let id = url.rsplit('/').next().unwrap();
    while crate::service::acme::testing::is_validating(&world.store, id) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.read(&url).await.json()["status"], "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_survive_an_orderly_restart_and_no_crash() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let (header, used) = (client.header("/acme/new-order").await, client.header("/acme/new-order").await);
    client.send("/acme/new-order", &client.sign(&used, "{}")).await;
    world.acme.stop().await.unwrap();
    let world = world.restart().await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    assert_eq!(client.send("/acme/new-order", &client.sign(&used, "{}")).await.error(), "badNonce");
    assert_eq!(client.send("/acme/new-order", &client.sign(&header, "{}")).await.error(), "malformed");
    let unused = client.header("/acme/new-order").await;
    // This time it crashes.
    let world = world.restart().await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    let answer = client.send("/acme/new-order", &client.sign(&unused, "{}")).await;
    assert_eq!(answer.error(), "badNonce");
    let mut again = unused;
    again["nonce"] = answer.header("replay-nonce").into();
    assert_eq!(client.send("/acme/new-order", &client.sign(&again, "{}")).await.error(), "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_things_serve_no_more() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await;
    let url = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    client.authorize(&world, &url).await;
    let answer = client.post(&url, json!({"status": "deactivated"})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("deactivated")));
    assert_eq!(client.read(order.header("location")).await.json()["status"], "invalid");
    assert_eq!(client.order(&["a.example.test"]).await.json()["status"], "pending");
    let answer = client.post(&client.kid, json!({"status": "deactivated"})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("deactivated")));
    for answer in [client.read(&client.kid).await, client.register(json!({})).await] {
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_orders_comes_in_small_pages_that_link_to_the_next() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let mut expected = std::collections::BTreeSet::new();
    for _ in 0..25 {
        expected.insert(client.order(&["a.example.test"]).await.header("location").to_owned());
    }
    let (mut seen, mut pages) = (std::collections::BTreeSet::new(), 0);
    let mut next = Some(format!("{}/orders", client.kid));
    while let Some(url) = next {
        let answer = client.read(&url).await;
        let orders = answer.json()["orders"].as_array().unwrap().clone();
        assert!(orders.len() <= 10, "{}", orders.len());
        for order in orders {
            assert!(seen.insert(order.as_str().unwrap().to_owned()), "{order} comes twice");
        }
        let links = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap());
        next = links.into_iter().find_map(|link| link.strip_suffix(">;rel=\"next\"")).map(|link| link[1..].to_owned());
        pages += 1;
    }
    assert_eq!((seen, pages), (expected, 3));
}
