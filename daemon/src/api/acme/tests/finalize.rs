//! Finalizing: chosen validity, profiles that are gone, slow tokens, CAA that is asked again.

use http::StatusCode;
use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::tbs::Certificate;
use serde_json::json;

use super::client::Client;
use super::orders::{dns, time};
use crate::issuance::testing::{Fault, NOW};
use crate::service::acme::testing::{World, csr, csr_with, fresh_key};
use crate::store::tables::CERTIFICATES;

#[tokio::test(flavor = "multi_thread")]
async fn a_validity_that_is_asked_for_is_met_exactly_or_refused() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let ask = async |not_before: Option<UnixTime>, not_after: Option<UnixTime>| {
        let mut body = json!({"identifiers": [dns("a.example.test")]});
        for (member, value) in [("notBefore", not_before), ("notAfter", not_after)] {
            if let Some(value) = value {
                body[member] = time(value).into();
            }
        }
        client.post("/acme/new-order", body).await
    };
    // Outside of what the profile gives (90 days, an hour back), in the past or the future.
    for (not_before, not_after) in [
        (Some(NOW.minus(3601)), None),
        (Some(NOW.plus(1)), None),
        (None, Some(NOW.plus(90 * 86_400))),
        (Some(NOW), Some(NOW.plus(90 * 86_400))),
        (None, Some(NOW.minus(1))),
    ] {
        let answer = ask(not_before, not_after).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, "malformed"), "A-061");
        assert!(answer.json()["detail"].as_str().unwrap().contains("`server` does not allow this validity"));
    }
    for (not_before, not_after) in
        [(Some(NOW.minus(5)), Some(NOW.plus(86_400))), (Some(NOW), None), (None, Some(NOW.plus(3600)))]
    {
        let answer = ask(not_before, not_after).await;
        let order = answer.json();
        assert_eq!(order.get("notBefore"), not_before.map(|at| json!(time(at))).as_ref(), "A-039");
        assert_eq!(order.get("notAfter"), not_after.map(|at| json!(time(at))).as_ref());
        if order["status"] == "pending" {
            client.authorize(&world, order["authorizations"][0].as_str().unwrap()).await;
        }
        let answer = client.finalize(answer.header("location"), &csr(&["a.example.test"])).await;
        let der = client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
        let validity = Certificate::from_der(&der).unwrap().validity();
        assert!(not_before.is_none_or(|at| at == validity.not_before()), "{validity:?}");
        assert!(not_after.is_none_or(|at| at == validity.not_after()), "{validity:?}");
    }
    // An hour later the beginning lies too far back, and nothing else is given instead.
    let order = ask(Some(NOW.minus(60)), None).await;
    world.clock.advance(3600);
    let answer = client.finalize(order.header("location"), &csr(&["a.example.test"])).await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::FORBIDDEN, "orderNotReady"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_no_longer_offered_is_refused_at_finalize() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order_of(json!({"identifiers": [dns("a.example.test")], "profile": "shortlived"})).await;
    assert_eq!(order["profile"], "shortlived");
    client.authorize(&world, order["authorizations"][0].as_str().unwrap()).await;
    let world = world.reconfigure(|acme| acme.profiles.retain(|name| name != "shortlived")).await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    let answer = client.finalize(order["url"].as_str().unwrap(), &csr(&["a.example.test"])).await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, "invalidProfile"), "P-03");
    let directory = client.plain("GET", "/directory").await.json();
    assert_eq!(directory["meta"]["profiles"]["server"], "TLS servers, 90 days", "P-01");
    assert!(directory["meta"]["profiles"].get("shortlived").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_token_makes_the_order_processing_and_then_valid_with_one_certificate() {
    let world = World::with(|acme| acme.orders.finalize_patience = std::time::Duration::from_millis(40)).await;
    let client = Client::new(&world).await;
    let url = client.ready_order(&world, &["a.example.test"]).await;
    world.signer.inner().faults.push(Fault::Hold);
    let key = fresh_key();
    let answer = client.finalize(&url, &csr_with(&key, &["a.example.test"])).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("processing")), "A-067");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(answer.header("location"), url);
    assert!(answer.json().get("certificate").is_none());
    // Who asks again is told the same; who comes with another key is refused.
    let again = client.finalize(&url, &csr_with(&key, &["a.example.test"])).await;
    assert_eq!((again.status, again.json()["status"].as_str()), (StatusCode::OK, Some("processing")));
    let other = client.finalize(&url, &csr(&["a.example.test"])).await;
    assert_eq!((other.status, other.error().as_str()), (StatusCode::FORBIDDEN, "orderNotReady"));
    assert_eq!(client.read(&url).await.json()["status"], "processing");
    world.signer.release();
    let order = loop {
        let order = client.read(&url).await.json();
        if order["status"] != "processing" {
            break order;
        }
    };
    assert_eq!(order["status"], "valid");
    client.certificate(order["certificate"].as_str().unwrap()).await;
    assert_eq!(world.signer.certificates().len(), 1);
}

#[test]
fn an_order_that_was_processing_when_the_daemon_crashed_is_completed_once() {
    for journalled in [false, true] {
        // The first life ends with its runtime: none of its tasks goes on.
        let life = tokio::runtime::Runtime::new().unwrap();
        let (world, client, url) = life.block_on(async {
            let world = World::with(|acme| acme.orders.finalize_patience = std::time::Duration::from_millis(40)).await;
            let client = Client::new(&world).await;
            client.issue(&world, &["a.example.test"]).await;
            let url = client.ready_order(&world, &["a.example.test"]).await;
            world.signer.inner().faults.push(Fault::Hold);
            let answer = client.finalize(&url, &csr(&["a.example.test"])).await;
            assert_eq!(answer.json()["status"], "processing");
            (world, client, url)
        });
        life.shutdown_background();
        match journalled {
            // It was signed before the signer was gone.
            true => world.journal_completes(&url),
            false => world.signer.restart(),
        }
        world.signer.release();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let world = world.restart().await;
            let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            loop {
                let order = client.read(&url).await.json();
                match order["status"].as_str().unwrap() {
                    "valid" => break,
                    status => assert!(status == "processing" && std::time::Instant::now() < deadline, "{order}"),
                }
            }
            assert_eq!(world.signer.certificates().len(), 2, "one an order, journalled: {journalled}");
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_can_never_be_completed_ends_as_invalid_with_the_reason() {
    let world = World::with(|acme| acme.orders.finalize_patience = std::time::Duration::from_millis(40)).await;
    let client = Client::new(&world).await;
    let url = client.ready_order(&world, &["a.example.test"]).await;
    world.signer.inner().faults.push(Fault::HoldAndRefuse);
    let answer = client.finalize(&url, &csr(&["a.example.test"])).await;
    assert_eq!(answer.json()["status"], "processing");
    world.signer.release();
    let order = loop {
        let order = client.read(&url).await.json();
        if order["status"] != "processing" {
            break order;
        }
    };
    assert_eq!(order["status"], "invalid");
    assert!(order["error"]["detail"].as_str().unwrap().contains("no"), "A-068: {order}");
    assert_eq!(world.signer.certificates().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn caa_that_forbids_fails_the_challenge_and_when_it_is_old_the_finalize() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let url = client.ready_order(&world, &["a.example.test", "b.example.test"]).await;
    world.web.put_caa("b.example.test", "issue", "other.example");
    // C-05: within eight hours the check that was made with the validation stands.
    let again = client.ready_order(&world, &["a.example.test", "b.example.test"]).await;
    let answer = client.finalize(&again, &csr(&["a.example.test", "b.example.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    world.clock.advance(8 * 3600 + 1);
    let answer = client.finalize(&url, &csr(&["a.example.test", "b.example.test"])).await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::FORBIDDEN, "caa"));
    let problems = answer.json()["subproblems"].as_array().unwrap().clone();
    assert_eq!((problems.len(), &problems[0]["identifier"]), (1, &dns("b.example.test")));
    assert!(problems[0]["detail"].as_str().unwrap().contains("other.example"), "{problems:?}");
    assert_eq!(client.read(&url).await.json()["status"], "ready");
    // Once it is allowed, the same order goes on, and the record says so.
    world.web.put_caa("b.example.test", "issue", "ca.example.test");
    let answer = client.finalize(&url, &csr(&["a.example.test", "b.example.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let der = client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    let record = world.store.get(&CERTIFICATES, Certificate::from_der(&der).unwrap().serial()).unwrap().unwrap().value;
    for evidence in &record.record.names {
        let caa = evidence.caa.as_ref().unwrap();
        assert_eq!(caa.at, NOW.plus(8 * 3600 + 1));
        let seen = evidence.seen.as_ref().unwrap();
        assert_eq!((evidence.method, evidence.at), (Method::Http01, NOW));
        assert!(seen.address.as_ref().unwrap().starts_with("127.0.0.1:"), "{seen:?}");
    }
    // A challenge for a name whose CAA forbids it fails for that.
    let stranger = Client::new(&world).await;
    world.web.put_caa("c.example.test", "issue", "other.example");
    let order = stranger.order(&["c.example.test"]).await.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = stranger.http01(authorization).await;
    let token = challenge["token"].as_str().unwrap();
    world.web.put(&format!("/.well-known/acme-challenge/{token}"), &stranger.key_authorization(token));
    stranger.post(challenge["url"].as_str().unwrap(), json!({})).await;
    let settled = stranger.settled(authorization).await;
    assert_eq!(settled["challenges"][0]["error"]["type"], "urn:ietf:params:acme:error:caa", "{settled}");
}

/// I1: of N names that are due each one is asked, and each answer is counted for its own name.
#[tokio::test(flavor = "multi_thread")]
async fn each_name_whose_caa_check_is_old_is_asked_again_and_no_other_instead() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let names: Vec<String> = (0..24).map(|number| format!("n{number}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let url = client.ready_order(&world, &names).await;
    world.clock.advance(8 * 3600);
    let forbidden: Vec<&str> = names.iter().copied().step_by(5).collect();
    for name in &forbidden {
        world.web.put_caa(name, "issue", ";");
    }
    let answer = client.finalize(&url, &csr(&names)).await;
    assert_eq!(answer.error(), "caa");
    let refused = answer.json()["subproblems"].as_array().unwrap().clone();
    let refused: Vec<&str> = refused.iter().map(|one| one["identifier"]["value"].as_str().unwrap()).collect();
    assert_eq!(refused, forbidden);
    assert_eq!(world.signer.certificates().len(), 0);
}
