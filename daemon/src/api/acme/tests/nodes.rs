//! Orders of registered nodes: ready at once for the names that are theirs, and for no others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use http::StatusCode;
use policy::csr::Csr;
use policy::profile::{Pattern, Profile};
use policy::registration::{CommonName, Registration, Thumbprint};
use serde_json::{Value, json};

use super::client::{Client, encode};
use crate::config::Switch;
use crate::service::acme::testing::{World, csr, csr_for, fresh_key};
use crate::service::nodes::Request;
use crate::service::peer::{Peer, PeerCertificate};
use crate::service::rights::Permitted;

const NODE: &str = "node-1.example.test";

/// A CA with the profile `node`, and a node that has a certificate.
async fn world() -> (World, Peer) {
    let offer = |acme: &mut crate::config::Acme| {
        acme.profiles.push("node".into());
        acme.orders.upki_forms = Switch::On;
    };
    let world = World::with(offer).await.reassemble(|services| {
        let text = include_str!("../../../../../packaging/profiles/node.toml");
        let mut profiles: BTreeMap<_, _> = (*services.profiles.now()).clone();
        profiles.insert("node".to_owned(), Profile::from_toml("node.toml", text).unwrap().into());
        services.profiles.replace(profiles);
    });
    let world = world.await;
    register(&world, None).await;
    let (name, permitted) = (CommonName::parse(NODE).unwrap(), Permitted::for_tests(&world.services));
    let (_, seed) = world.services.issue_seed(&permitted, &name, 60).await.unwrap();
    let csr = Csr::from_der(&csr_for(&fresh_key(), NODE, &[NODE])).unwrap();
    let request = Request { csr, profile: None, surface: "test" };
    let certified = world.services.certify_by_seed(&permitted, seed.reveal(), request).await.unwrap();
    let certificate = Some(PeerCertificate::read(&certified.issued.certificate).unwrap());
    (world, Peer { from: "192.0.2.1:1".to_owned(), certificate })
}

async fn register(world: &World, account: Option<Thumbprint>) {
    let registration = Registration {
        common_name: CommonName::parse(NODE).unwrap(),
        names: vec![Pattern::parse(&format!(".{NODE}")).unwrap()],
        profile: "node".to_owned(),
        account,
    };
    let permitted = Permitted::for_tests(&world.services);
    let registered = match registration.account {
        None => world.services.register_node(&permitted, registration).await,
        Some(_) => world.services.change_node(&permitted, registration).await,
    };
    registered.unwrap();
}

/// A client whose connections show the certificate of `peer`.
async fn client(world: &World, peer: Option<&Peer>) -> Client {
    let mut client = Client::new(world).await;
    if let Some(peer) = peer {
        client.router = client.router.layer(Extension(Arc::new(peer.clone())));
    }
    client
}

async fn order(client: &Client, names: &[&str], profile: Option<&str>) -> (String, Value) {
    let identifiers: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
    let answer = client.post("/acme/new-order", json!({"identifiers": identifiers, "profile": profile})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    (answer.header("location").to_owned(), answer.json())
}

#[tokio::test]
async fn a_node_over_mutual_tls_needs_no_challenge_for_its_own_names() {
    let (world, peer) = world().await;
    let client = client(&world, Some(&peer)).await;
    let below = format!("db.{NODE}");
    // uPKI's names of profiles, ours, and none at all.
    for profile in [Some("server"), Some("webapp"), Some("node"), None] {
        let (url, order) = order(&client, &[NODE, &below], profile).await;
        assert_eq!((&order["status"], &order["profile"]), (&json!("ready"), &json!("node")), "{profile:?}");
        let authorization = client.read(order["authorizations"][0].as_str().unwrap()).await.json();
        assert_eq!((&authorization["status"], &authorization["challenges"]), (&json!("valid"), &json!([])));
        let valid = client.finalize(&url, &csr(&[NODE, &below])).await;
        assert_eq!(valid.json()["status"], "valid", "{valid:?}");
        let plain = client.send_as("GET", valid.json()["certificate"].as_str().unwrap(), "text/plain", vec![]).await;
        assert!(plain.json()["certificate"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    }
    let journal = world.signer.inner().lines.join("\n");
    assert!(journal.contains(r#""method":"registration""#) && journal.contains(&format!(r#""node":"{NODE}""#)));
}

#[tokio::test]
async fn names_that_are_not_the_nodes_and_peers_that_are_no_node_are_challenged_as_ever() {
    let (world, peer) = world().await;
    let node = client(&world, Some(&peer)).await;
    let (_, mixed) = order(&node, &[NODE, "other.example.test"], Some("node")).await;
    assert_eq!(mixed["status"], "pending");
    let mut states = Vec::new();
    for url in mixed["authorizations"].as_array().unwrap() {
        let authorization = node.read(url.as_str().unwrap()).await.json();
        states.push((authorization["identifier"]["value"].clone(), authorization["status"].clone()));
    }
    states.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(states, [(json!(NODE), json!("valid")), (json!("other.example.test"), json!("pending"))]);
    // Of another profile, it is like anybody.
    let (_, other) = order(&node, &[NODE], Some("shortlived")).await;
    assert_eq!(other["status"], "pending");
    // What was valid for one order is not found by the next, whoever asks.
    let stranger = client(&world, None).await;
    assert_eq!(order(&stranger, &[NODE], Some("node")).await.1["status"], "pending");
    let same_account = Client { router: stranger.router.clone(), key: node.key, kid: node.kid };
    assert_eq!(order(&same_account, &[NODE], Some("node")).await.1["status"], "pending");
    // A certificate with another fingerprint, or one whose time is over, is no node's.
    let forged = PeerCertificate { fingerprint: "0".repeat(64), ..peer.certificate.clone().unwrap() };
    let forged = client(&world, Some(&Peer { certificate: Some(forged), ..peer.clone() })).await;
    assert_eq!(order(&forged, &[NODE], Some("node")).await.1["status"], "pending");
    world.clock.advance(61 * 86_400);
    let late = client(&world, Some(&peer)).await;
    assert_eq!(order(&late, &[NODE], Some("node")).await.1["status"], "pending");
}

#[tokio::test]
async fn a_nodes_own_account_is_as_good_as_its_certificate() {
    let (world, _) = world().await;
    let client = client(&world, None).await;
    assert_eq!(order(&client, &[NODE], Some("node")).await.1["status"], "pending");
    let key = client.key_authorization("");
    register(&world, Some(Thumbprint::parse(key.trim_start_matches('.')).unwrap())).await;
    let (url, ready) = order(&client, &[NODE], Some("server")).await;
    assert_eq!(ready["status"], "ready");
    assert_eq!(client.finalize(&url, &csr(&[NODE])).await.json()["status"], "valid");
}

#[tokio::test]
async fn a_node_that_is_deleted_or_loses_a_name_gets_nothing_from_an_order_that_was_ready() {
    let (world, peer) = world().await;
    let client = client(&world, Some(&peer)).await;
    let below = format!("db.{NODE}");
    let (first, _) = order(&client, &[&below], None).await;
    let (second, _) = order(&client, &[NODE], None).await;
    let permitted = Permitted::for_tests(&world.services);
    let narrower = Registration {
        common_name: CommonName::parse(NODE).unwrap(),
        names: Vec::new(),
        profile: "node".to_owned(),
        account: None,
    };
    world.services.change_node(&permitted, narrower.clone()).await.unwrap();
    let refused = client.finalize(&first, &csr(&[&below])).await;
    assert_eq!((refused.status, refused.error().as_str()), (StatusCode::FORBIDDEN, "unauthorized"));
    world.services.delete_node(&permitted, &narrower.common_name).await.unwrap();
    let refused = client.finalize(&second, &csr(&[NODE])).await;
    assert_eq!((refused.status, refused.error().as_str()), (StatusCode::FORBIDDEN, "unauthorized"));
    // And its certificate, revoked, makes it a node no more.
    assert_eq!(order(&client, &[NODE], Some("node")).await.1["status"], "pending");
}

#[tokio::test]
async fn upkis_command_line_revokes_by_pem_where_its_forms_are_served() {
    let (world, peer) = world().await;
    let client = client(&world, Some(&peer)).await;
    let (url, _) = order(&client, &[NODE], None).await;
    let valid = client.finalize(&url, &csr(&[NODE])).await.json();
    let der = client.certificate(valid["certificate"].as_str().unwrap()).await;
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    let revoke = |octets: &[u8]| json!({"certificate": encode(octets)});
    let damaged = client.post("/acme/revoke-cert", revoke(&pem.as_bytes()[1..])).await;
    assert_eq!(damaged.status, StatusCode::BAD_REQUEST, "{damaged:?}");
    let revoked = client.post("/acme/revoke-cert", revoke(pem.as_bytes())).await;
    assert_eq!(revoked.status, StatusCode::OK, "{revoked:?}");
}
