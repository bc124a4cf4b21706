//! The paths of CertMaker's first two versions.

use http::{Method, StatusCode};
use serde_json::json;

use super::world::World;
use crate::service::acme::testing::BASE;

const REQUEST: &str = "/api/v1/certificate/request";

#[tokio::test]
async fn the_bot_fetches_its_certificate_and_once_its_key() {
    let world = World::unproven().await;
    let (account, other) = (world.account().await, world.account().await);
    let asked = json!({"Domains": ["app.example.test"], "IPs": null, "Subject": {"Organization": "x"}, "Days": 20});
    let answer = world.post(&account, REQUEST, asked).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0), "{answer:?}");
    let place = |name: &str| answer.header(name).strip_prefix(BASE).unwrap().to_owned();
    let (certificate, key) = (place("X-Certificate-Location"), place("X-Privatekey-Location"));
    for path in [&certificate, &key] {
        world.ask(None, Method::GET, path).await.is_error(401);
        world.ask(Some(&other), Method::GET, path).await.is_error(404);
    }
    let answer = world.ask(Some(&account), Method::GET, &certificate).await;
    assert!(answer.body.starts_with(b"-----BEGIN CERTIFICATE-----"), "{answer:?}");
    let answer = world.ask(Some(&account), Method::GET, &key).await;
    assert!(answer.body.starts_with(b"-----BEGIN PRIVATE KEY-----"), "{answer:?}");
    world.ask(Some(&account), Method::GET, &key).await.is_error(404);
    // The certificate stays.
    assert_eq!(world.ask(Some(&account), Method::GET, &certificate).await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_control_is_to_be_shown_the_old_path_challenges_too() {
    let world = World::new().await;
    let account = world.account().await;
    world.post(&account, REQUEST, json!({"Domains": ["app.example.test"]})).await.challenge("http-01");
    assert_eq!(world.post(&account, REQUEST, json!({"Domains": ["localhost"]})).await.status, StatusCode::OK);
}
