//! ACME Renewal Information (RFC 9773): rows.

use http::StatusCode;
use policy::tbs::Certificate;
use serde_json::{Value, json};

use super::client::{Answer, Client, encode};
use crate::issuance::testing::KEY;
use crate::service::acme::testing::{World, csr};

/// The identifier of a certificate, made as a client does.
fn identifier(world: &World, der: &[u8]) -> String {
    let serial = Certificate::from_der(der).unwrap().serial().to_vec();
    format!("{}.{}", encode(world.signer.issuer.key_identifier()), encode(&serial))
}

async fn window(client: &Client, id: &str) -> (String, String) {
    let answer = client.plain("GET", &format!("/acme/renewal-info/{id}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "21600", "R-03");
    let text = |member: &str| answer.json()["suggestedWindow"][member].as_str().unwrap().to_owned();
    assert!(text("start") < text("end"), "R-02");
    (text("start"), text("end"))
}

async fn replace(client: &Client, names: &[&str], id: &str) -> Answer {
    let identifiers: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
    client.post("/acme/new-order", json!({"identifiers": identifiers, "replaces": id})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_when_a_certificate_should_be_renewed() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let directory = client.plain("GET", "/directory").await.json();
    assert_eq!(directory["renewalInfo"], "https://ca.test/acme/renewal-info", "R-01");
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    let id = identifier(&world, &der);
    // 90 days from 23:00 the day before: from the sixtieth to the seventy-fifth.
    let (start, end) = window(&client, &id).await;
    assert_eq!((start.as_str(), end.as_str()), ("2027-01-21T22:59:59Z", "2027-02-05T22:59:59Z"));
    world.clock.advance(86_400);
    assert_eq!(window(&client, &id).await, (start, end), "R-03: it does not move");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_is_none_is_malformed_and_one_of_nobody_is_unknown() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    let id = identifier(&world, &der);
    let (key, serial) = id.split_once('.').unwrap();
    for (id, status) in [
        ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".to_owned(), StatusCode::NOT_FOUND),
        (format!("{key}.AIdlQyE"), StatusCode::NOT_FOUND),
        (format!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.{serial}"), StatusCode::NOT_FOUND),
        (key.to_owned(), StatusCode::BAD_REQUEST),
        (format!("{key}."), StatusCode::BAD_REQUEST),
        (format!(".{serial}"), StatusCode::BAD_REQUEST),
        (format!("{key}.{serial}="), StatusCode::BAD_REQUEST),
        (format!("{key}.{serial}.{serial}"), StatusCode::BAD_REQUEST),
        (format!("{}.{serial}", key.repeat(20)), StatusCode::BAD_REQUEST),
    ] {
        let answer = client.plain("GET", &format!("/acme/renewal-info/{id}")).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, "malformed"), "R-04: {id}");
    }
    let answer = client.plain("POST", &format!("/acme/renewal-info/{id}")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_should_have_been_renewed_already() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    client.post("/acme/revoke-cert", json!({"certificate": encode(&der)})).await;
    let (_, end) = window(&client, &identifier(&world, &der)).await;
    assert!(end.as_str() < "2026-11-23T00:00:00Z", "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_of_an_issuer_that_retires_should_have_been_renewed_already() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    let world = world.reassemble(|services| services.retiring = vec![KEY.to_owned()]).await;
    let client = Client { router: crate::api::acme::router(world.acme.clone()), ..client };
    let (_, end) = window(&client, &identifier(&world, &der)).await;
    assert!(end.as_str() < "2026-11-23T00:00:00Z", "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_replaces_a_certificate_says_so_and_no_second_one_does() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let der = client.certificate(&client.issue(&world, &["a.example.test", "b.example.test"]).await).await;
    let id = identifier(&world, &der);
    let order = replace(&client, &["a.example.test", "c.example.test"], &id).await;
    assert_eq!((order.status, order.json()["replaces"].as_str()), (StatusCode::CREATED, Some(id.as_str())), "R-05");
    let url = order.header("location").to_owned();
    assert_eq!(client.read(&url).await.json()["replaces"], id);
    for _ in 0..2 {
        let again = replace(&client, &["a.example.test"], &id).await;
        assert_eq!((again.status, again.error().as_str()), (StatusCode::CONFLICT, "alreadyReplaced"));
    }
    // The order fails: what it was to replace is free again.
    let pending = order.json()["authorizations"][1].as_str().unwrap().to_owned();
    client.post(&pending, json!({"status": "deactivated"})).await;
    assert_eq!(client.read(&url).await.json()["status"], "invalid");
    let order = replace(&client, &["a.example.test"], &id).await;
    assert_eq!(order.status, StatusCode::CREATED, "{order:?}");
    // It succeeds: replaced for ever.
    let answer = client.finalize(order.header("location"), &csr(&["a.example.test"])).await;
    assert_eq!(answer.json()["status"], "valid", "{answer:?}");
    world.clock.advance(2 * 86_400);
    assert_eq!(replace(&client, &["a.example.test"], &id).await.error(), "alreadyReplaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orders_that_replace_one_certificate_at_once_leave_one() {
    let world = World::new().await;
    let client = std::sync::Arc::new(Client::new(&world).await);
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    let id = identifier(&world, &der);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (client, id) = (client.clone(), id.clone());
            tokio::spawn(async move { replace(&client, &["a.example.test"], &id).await.status })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            StatusCode::CREATED => made += 1,
            status => assert_eq!(status, StatusCode::CONFLICT),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_account_replaces_a_certificate_and_only_for_one_of_its_names() {
    let world = World::new().await;
    let (client, other) = (Client::new(&world).await, Client::new(&world).await);
    let der = client.certificate(&client.issue(&world, &["a.example.test"]).await).await;
    let id = identifier(&world, &der);
    for (client, name, id, status, kind) in [
        (&other, "a.example.test", id.as_str(), StatusCode::FORBIDDEN, "unauthorized"),
        (&client, "b.example.test", &id, StatusCode::BAD_REQUEST, "malformed"),
        (&client, "a.example.test", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", StatusCode::BAD_REQUEST, "malformed"),
        (&client, "a.example.test", "x", StatusCode::BAD_REQUEST, "malformed"),
    ] {
        let answer = replace(client, &[name], id).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, kind), "{id}");
    }
}
