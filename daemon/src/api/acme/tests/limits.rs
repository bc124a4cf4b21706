//! Limits as a client meets them.

use std::sync::Arc;

use axum::Extension;
use http::StatusCode;
use serde_json::json;

use super::client::{Answer, Client};
use crate::service::acme::testing::World;
use crate::service::limits::Save;
use crate::service::peer::Peer;

/// A client with a key and no account, at an address.
fn stranger(world: &World, from: &str) -> Client {
    let client = Client::stranger(world);
    let peer = Peer { from: from.to_owned(), certificate: None };
    Client { router: client.router.layer(Extension(Arc::new(peer))), ..client }
}

/// A client with an account, at an address.
async fn client(world: &World, from: &str) -> Client {
    let mut client = stranger(world, from);
    let answer = client.register(json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    client.kid = answer.header("location").to_owned();
    client
}

/// What a limit's refusal must be; its limit stands in the text.
fn assert_refused(answer: &Answer, limit: &str, retry_after: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rateLimited"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), retry_after, "{answer:?}");
    let links: Vec<&str> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(links.contains(&"<https://example.test>;rel=\"help\""), "{links:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains(limit), "{answer:?}");
    assert!(!answer.header("replay-nonce").is_empty());
}

/// Orders a name and fails to show control of it; gives the answer to the order if that is refused.
async fn fail(client: &Client, name: &str) -> Result<(), Answer> {
    let order = client.order(&[name]).await;
    if order.status != StatusCode::CREATED {
        return Err(order);
    }
    let url = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.read(&url).await.json()["challenges"][0]["url"].as_str().unwrap().to_owned();
    let answer = client.post(&challenge, json!({})).await;
    if answer.status != StatusCode::OK {
        return Err(answer);
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while client.read(&url).await.json()["status"] != "invalid" {
        assert!(std::time::Instant::now() < deadline, "the challenge does not fail");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_orders_too_much_is_told_when_to_come_back_and_then_served() {
    let world = World::limited("orders_per_account = \"2 per 1h\"").await;
    let (busy, other) = (Client::new(&world).await, Client::new(&world).await);
    for name in ["a.example.test", "b.example.test"] {
        assert_eq!(busy.order(&[name]).await.status, StatusCode::CREATED);
    }
    assert_refused(&busy.order(&["c.example.test"]).await, "orders_per_account", "1800");
    assert_eq!(other.order(&["c.example.test"]).await.status, StatusCode::CREATED);
    world.clock.advance(1799);
    assert_refused(&busy.order(&["c.example.test"]).await, "orders_per_account", "1");
    world.clock.advance(1);
    assert_eq!(busy.order(&["c.example.test"]).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_refused_for_its_names_is_not_counted() {
    let world = World::limited("orders_per_account = \"1 per 1h\"").await;
    let client = Client::new(&world).await;
    for _ in 0..3 {
        assert_eq!(client.order(&["*"]).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(client.order(&["a.example.test"]).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_counted_by_address_by_registered_name_and_in_all() {
    let world = World::limited("orders_per_address = \"1 per 1h\"").await;
    let (first, neighbour) = (client(&world, "192.0.2.1:1000").await, client(&world, "192.0.2.1:2000").await);
    let elsewhere = client(&world, "192.0.2.2:1000").await;
    assert_eq!(first.order(&["a.example.test"]).await.status, StatusCode::CREATED);
    assert_refused(&neighbour.order(&["a.example.test"]).await, "orders_per_address", "3600");
    assert_eq!(elsewhere.order(&["a.example.test"]).await.status, StatusCode::CREATED);

    let world = World::limited("orders_per_name = \"2 per 1h\"").await;
    let client = Client::new(&world).await;
    // Counted once, however many names share it.
    assert_eq!(client.order(&["a.x.example.test", "b.x.example.test"]).await.status, StatusCode::CREATED);
    assert_eq!(client.order(&["c.x.example.test"]).await.status, StatusCode::CREATED);
    let refused = client.order(&["d.y.example.test", "x.example.test"]).await;
    assert_refused(&refused, "orders_per_name", "1800");
    assert!(refused.json()["detail"].as_str().unwrap().contains("for x.example.test"), "{refused:?}");
    assert_eq!(client.order(&["d.y.example.test"]).await.status, StatusCode::CREATED);

    let world = World::limited("orders = \"1 per 1h\"").await;
    let (one, two) = (Client::new(&world).await, Client::new(&world).await);
    assert_eq!(one.order(&["a.example.test"]).await.status, StatusCode::CREATED);
    assert_refused(&two.order(&["b.example.test"]).await, "(orders)", "3600");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_accounts_are_counted_by_network_and_accounts_that_are_there_are_not() {
    let world = World::limited("accounts_per_address = \"1 per 1h\"\nexempt_networks = [\"198.51.100.0/24\"]").await;
    let known = client(&world, "[2001:db8:1:1::1]:1000").await;
    assert_eq!(known.register(json!({})).await.status, StatusCode::OK);
    assert_refused(&stranger(&world, "[2001:db8:1:1::2]:1").register(json!({})).await, "accounts_per_address", "3600");
    let other = stranger(&world, "[2001:db8:1:2::1]:1").register(json!({})).await;
    assert_eq!(other.status, StatusCode::CREATED);
    for _ in 0..3 {
        client(&world, "198.51.100.7:1").await;
    }
    let world = World::limited("accounts = \"1 per 1h\"").await;
    Client::new(&world).await;
    assert_refused(&Client::stranger(&world).register(json!({})).await, "(accounts)", "3600");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_requests_is_refused_whatever_it_asks() {
    let world = World::limited("requests_per_address = \"3 per 1m\"").await;
    let client = stranger(&world, "192.0.2.1:1000");
    for _ in 0..3 {
        assert_eq!(client.plain("GET", "/directory").await.status, StatusCode::OK);
    }
    assert_eq!(client.plain("GET", "/directory").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_refused(&client.plain("POST", "/acme/new-order").await, "requests_per_address", "20");
    let other = stranger(&world, "192.0.2.2:1000");
    assert_eq!(other.plain("GET", "/directory").await.status, StatusCode::OK);
    world.clock.advance(20);
    assert_eq!(client.plain("GET", "/directory").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_too_often_for_a_name_waits_and_a_success_forgets_it() {
    let world = World::limited("failures = \"2 per 1h\"").await;
    let client = Client::new(&world).await;
    for _ in 0..2 {
        fail(&client, "a.example.test").await.unwrap();
    }
    let refused = fail(&client, "a.example.test").await.unwrap_err();
    assert_refused(&refused, "(failures)", "1800");
    assert!(refused.json()["detail"].as_str().unwrap().contains("for a.example.test"), "{refused:?}");
    fail(&client, "b.example.test").await.unwrap();
    world.clock.advance(1800);
    client.issue(&world, &["a.example.test"]).await;
    world.clock.advance(8 * 86_400);
    for _ in 0..2 {
        fail(&client, "a.example.test").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_succeeds_is_paused_until_he_is_released_and_told_how() {
    let world = World::limited("failures = \"off\"\npause_after = 3").await;
    let client = Client::new(&world).await;
    // Its challenge could be responded to later, but not while it is paused.
    let order = client.order(&["a.example.test"]).await.json();
    for _ in 0..3 {
        fail(&client, "a.example.test").await.unwrap();
    }
    let world = world.restart().await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    world.clock.advance(3 * 86_400);
    let refused = fail(&client, "a.example.test").await.unwrap_err();
    assert_refused(&refused, "signetctl limits release a.example.test", "86400");
    let authorization = client.read(order["authorizations"][0].as_str().unwrap()).await.json();
    let challenge = authorization["challenges"][0]["url"].as_str().unwrap();
    assert_refused(&client.post(challenge, json!({})).await, "pause_after", "86400");
    fail(&client, "b.example.test").await.unwrap();
    fail(&Client::new(&world).await, "a.example.test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_too_many_validations_under_way_waits_for_one_to_end() {
    let world = World::limited("validations_per_account = 1").await;
    let client = Client::new(&world).await;
    let authorization = client.order(&["a.example.test"]).await.json()["authorizations"][0].clone();
    let challenge = client.read(authorization.as_str().unwrap()).await.json()["challenges"][0]["url"].clone();
    let account = client.kid.rsplit('/').next().unwrap();
    let turn = world.services.limits.validation(account).unwrap();
    assert_refused(&client.post(challenge.as_str().unwrap(), json!({})).await, "validations_per_account", "5");
    drop(turn);
    client.authorize(&world, authorization.as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_gives_back_no_more_than_a_quarter_and_an_orderly_stop_nothing() {
    for (orderly, taken, left) in [(Save::All, 1, 7), (Save::Much, 1, 8), (Save::Much, 2, 8), (Save::Much, 3, 5)] {
        let world = World::limited("orders_per_account = \"8 per 1h\"").await;
        let client = Client::new(&world).await;
        for _ in 0..taken {
            client.order(&["a.example.test"]).await;
        }
        world.services.limits.save(orderly, policy::effects::Clock::now(&*world.clock)).await;
        let world = world.restart().await;
        let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
        let mut granted = 0;
        while client.order(&["a.example.test"]).await.status == StatusCode::CREATED {
            granted += 1;
        }
        assert_eq!(granted, left, "{orderly:?} {taken}");
    }
}
