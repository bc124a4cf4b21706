//! A-044 as a property: whatever clients, names, time and crashes do, no transition is ever visible
//! that RFC 8555 section 7.1.6 does not have.

use proptest::prelude::*;
use serde_json::json;

use super::client::Client;
use crate::service::acme::testing::{World, csr};

#[derive(Clone, Copy, Debug)]
enum Act {
    Advance(u64),
    Crash,
    DeactivateFirst,
    Finalize,
    RespondFirst(Body),
    RespondSecond(Body),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Right,
    Wrong,
}

fn act() -> impl Strategy<Value = Act> {
    let body = prop_oneof![4 => Just(Body::Right), 1 => Just(Body::Wrong)];
    prop_oneof![
        1 => prop_oneof![Just(60u64), Just(2 * 86_400), Just(8 * 86_400)].prop_map(Act::Advance),
        1 => Just(Act::Crash),
        1 => Just(Act::DeactivateFirst),
        3 => Just(Act::Finalize),
        3 => body.clone().prop_map(Act::RespondFirst),
        3 => body.prop_map(Act::RespondSecond),
    ]
}

/// Whether one may follow the other when looked at from time to time: the closure of the state
/// machine's steps.
fn follows(kind: &str, before: &str, after: &str) -> bool {
    if before == after {
        return true;
    }
    let successors: &[&str] = match (kind, before) {
        ("order", "pending") => &["ready", "processing", "valid", "invalid"],
        ("order", "ready") => &["processing", "valid", "invalid"],
        ("order", "processing") => &["valid", "invalid"],
        ("authorization", "pending") => &["valid", "invalid", "expired", "deactivated", "revoked"],
        ("authorization", "valid") => &["expired", "deactivated", "revoked"],
        ("challenge", "pending") => &["processing", "valid", "invalid"],
        ("challenge", "processing") => &["valid", "invalid"],
        _ => &[],
    };
    successors.contains(&after)
}

async fn run(acts: Vec<Act>) {
    const NAMES: [&str; 2] = ["a.example.test", "b.example.test"];
    let mut world = World::new().await;
    let mut client = Client::new(&world).await;
    let order = client.order(&NAMES).await;
    let url = order.header("location").to_owned();
    let authorizations: Vec<String> =
        order.json()["authorizations"].as_array().unwrap().iter().map(|url| url.as_str().unwrap().to_owned()).collect();
    let mut before = look(&client, &url, &authorizations).await;
    for act in acts {
        match act {
            // Time does not jump in the middle of a commit.
            Act::Advance(seconds) => {
                while look(&client, &url, &authorizations).await.iter().any(|(_, status)| status == "processing") {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                world.clock.advance(seconds);
            }
            Act::Crash => {
                world.signer.restart();
                world = world.restart().await;
                client.router = crate::api::acme::router(world.acme.clone());
            }
            Act::DeactivateFirst => drop(client.post(&authorizations[0], json!({"status": "deactivated"})).await),
            Act::Finalize => {
                let status = client.finalize(&url, &csr(&NAMES)).await.status.as_u16();
                assert!([200, 403].contains(&status), "{status}");
            }
            Act::RespondFirst(body) => respond(&world, &client, &authorizations[0], body).await,
            Act::RespondSecond(body) => respond(&world, &client, &authorizations[1], body).await,
        }
        let after = look(&client, &url, &authorizations).await;
        for ((kind, old), (_, new)) in before.iter().zip(&after) {
            assert!(follows(kind, old, new), "{kind}: {old} -> {new} by {act:?}");
        }
        let valid = after[0].1 == "valid";
        assert_eq!(world.signer.certificates().len(), usize::from(valid), "{after:?}");
        before = after;
    }
}

async fn respond(world: &World, client: &Client, url: &str, body: Body) {
    let challenges = client.read(url).await.json()["challenges"].clone();
    let Some(challenge) = challenges.as_array().unwrap().iter().find(|one| one["type"] == "http-01") else { return };
    let token = challenge["token"].as_str().unwrap();
    let right = client.key_authorization(token);
    world.web.put(
        &format!("/.well-known/acme-challenge/{token}"),
        if body == Body::Right { &right } else { "something else" },
    );
    client.post(challenge["url"].as_str().unwrap(), json!({})).await;
}

/// Every status that the client can see, the order's first.
async fn look(client: &Client, order: &str, authorizations: &[String]) -> Vec<(&'static str, String)> {
    let text = |value: &serde_json::Value| value["status"].as_str().unwrap().to_owned();
    let mut seen = vec![("order", text(&client.read(order).await.json()))];
    for url in authorizations {
        let authorization = client.read(url).await.json();
        seen.push(("authorization", text(&authorization)));
        seen.push(("challenge", text(&authorization["challenges"][0])));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_the_transitions_of_the_standard_are_visible(acts in proptest::collection::vec(act(), 1..12)) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(acts));
    }
}
