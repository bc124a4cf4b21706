//! What is removed after a time, what uPKI's forms show, and what is found again by what it rests on.

use http::StatusCode;
use policy::evidence::Method;
use policy::serial::Serial;
use policy::tbs::Certificate;
use serde_json::{Value, json};

use super::client::Client;
use crate::config::Switch;
use crate::service::acme::testing::{World, csr, rows};
use crate::service::search::Ground;
use crate::store::tables::CERTIFICATES_BY_GROUND;

async fn clean(world: &World) {
    while world.acme.remove_some().await.unwrap() > 0 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_is_removed_after_its_retention_and_valid_orders_stay_with_their_certificates() {
    let world = World::with(|acme| acme.orders.upki_forms = Switch::On).await;
    let client = Client::new(&world).await;
    let certificate = client.issue(&world, &["a.example.test"]).await;
    let order = certificate.replace("/certificate/", "/order/");
    for _ in 0..100 {
        client.order(&["b.example.test"]).await;
    }
    let full = rows(&world.store);
    assert_eq!((full[0], full[3]), (101, 101));
    clean(&world).await;
    assert_eq!(rows(&world.store), full, "nothing ended yet");
    // Orders last a day, authorizations a week; both are kept for a day more.
    world.clock.advance(86_400 + 3600);
    clean(&world).await;
    assert_eq!(rows(&world.store), full);
    assert_eq!(client.read(&order).await.json()["status"], "valid");
    world.clock.advance(86_400);
    clean(&world).await;
    assert_eq!(rows(&world.store)[..4], [1, 0, 1, 101], "pending orders are gone");
    world.clock.advance(8 * 86_400);
    clean(&world).await;
    assert_eq!(rows(&world.store), [1, 0, 1, 0, 0, 0], "the authorizations, too");
    // The certificate is still there, its order is listed, and a new order asks for control again.
    client.certificate(&certificate).await;
    let list = client.read(&format!("{}/orders", client.kid)).await.json();
    assert_eq!(list["orders"], json!([order]), "A-038");
    let again = client.order(&["a.example.test"]).await;
    assert_eq!(again.json()["status"], "pending");
    world.clock.advance(92 * 86_400);
    clean(&world).await;
    assert_eq!(rows(&world.store)[..4], [0, 0, 0, 0]);
    assert_eq!(client.read(&order).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_authorization_was_removed_is_invalid_and_no_fault_of_the_server() {
    let world = World::with(|acme| {
        acme.authorization_lifetime = std::time::Duration::from_secs(3600);
        acme.order_lifetime = std::time::Duration::from_secs(30 * 86_400);
    })
    .await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await.header("location").to_owned();
    world.clock.advance(3 * 86_400);
    clean(&world).await;
    let answer = client.read(&order).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("invalid")));
    assert_eq!(client.finalize(&order, &csr(&["a.example.test"])).await.error(), "orderNotReady", "A-097");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_round_of_removal_is_bounded_and_the_rounds_reach_the_end() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    for _ in 0..150 {
        client.order(&["b.example.test"]).await;
    }
    world.clock.advance(30 * 86_400);
    let mut rounds = Vec::new();
    loop {
        match world.acme.remove_some().await.unwrap() {
            0 => break,
            count => rounds.push(count),
        }
    }
    assert!(rounds.len() > 2 && rounds.iter().all(|count| *count <= 128), "{rounds:?}");
    assert_eq!(rows(&world.store)[..4], [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn upkis_plain_gets_work_where_they_are_switched_on_and_nowhere_else() {
    for forms in [Switch::Off, Switch::On] {
        let world = World::with(|acme| acme.orders.upki_forms = forms).await;
        let client = Client::new(&world).await;
        let order = client.order(&["a.example.test"]).await;
        let url = order.header("location").to_owned();
        let authorization = order.json()["authorizations"][0].as_str().unwrap().to_owned();
        let challenge = client.http01(&authorization).await;
        let token = challenge["token"].as_str().unwrap();
        let well_known = format!("/.well-known/acme-challenge/{token}");
        let answer = client.plain("GET", &well_known).await;
        if forms == Switch::Off {
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            for url in [&url, &authorization] {
                let answer = client.plain("GET", url).await;
                assert_eq!((answer.status, answer.error().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "malformed"));
            }
            continue;
        }
        assert_eq!(String::from_utf8(answer.body).unwrap(), client.key_authorization(token));
        let pending = client.plain("GET", &url).await.json();
        assert_eq!(
            (&pending["status"], &pending["certificate"], &pending["error"]),
            (&json!("pending"), &Value::Null, &Value::Null)
        );
        assert!(pending.as_object().unwrap().contains_key("error"));
        assert_eq!(client.plain("GET", &authorization).await.json()["identifier"]["value"], "a.example.test");
        client.authorize(&world, &authorization).await;
        // What is decided is nobody's business any more.
        assert_eq!(client.plain("GET", &well_known).await.status, StatusCode::NOT_FOUND);
        client.finalize(&url, &csr(&["a.example.test"])).await;
        let certificate = client.plain("GET", &url).await.json()["certificate"].as_str().unwrap().to_owned();
        let pem = String::from_utf8(client.read(&certificate).await.body).unwrap();
        let answer = client.plain("GET", &certificate).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json()["certificate"], pem);
        let request = http::Request::get(certificate.strip_prefix("https://ca.test").unwrap())
            .header("accept", "application/pem-certificate-chain")
            .body(axum::body::Body::empty());
        let answer = client.answer(request.unwrap()).await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), pem);
        for path in
            ["/acme/order/none", "/acme/authorization/none", "/acme/cert/none", "/.well-known/acme-challenge/none"]
        {
            assert_eq!(client.plain("GET", path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_found_by_what_they_rest_on() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let der = client.certificate(&client.issue(&world, &["a.example.test", "b.example.test"]).await).await;
    let serial = Serial::from_slice(Certificate::from_der(&der).unwrap().serial()).unwrap();
    let account = client.kid.rsplit('/').next().unwrap();
    let found = |ground: Ground| {
        let (from, to) = (format!("{ground}\0"), format!("{ground}\u{1}"));
        let range = (std::ops::Bound::Included(from.as_bytes()), std::ops::Bound::Excluded(to.as_bytes()));
        let rows = world.store.scan(&CERTIFICATES_BY_GROUND, range, 10, false).unwrap();
        rows.iter().map(|(key, _)| Serial::from_slice(&key[key.len() - 20..]).unwrap()).collect::<Vec<_>>()
    };
    let version = "http-01/1".to_owned();
    for ground in [
        Ground::Actor(format!("acme:{account}")),
        Ground::Address("127.0.0.1".parse().unwrap()),
        Ground::Method(Method::Http01),
        Ground::Validator(version),
    ] {
        assert_eq!(found(ground.clone()), [serial], "{ground}");
    }
    for ground in [
        Ground::Actor("acme:nobody".into()),
        Ground::Address("127.0.0.2".parse().unwrap()),
        Ground::Method(Method::Dns01),
        Ground::Validator("http-01/0".into()),
    ] {
        assert_eq!(found(ground.clone()), [], "{ground}");
    }
}
