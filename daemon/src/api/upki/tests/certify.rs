//! `POST certify`: seeds, and the open mode.

use http::StatusCode;
use policy::profile::Pattern;
use policy::tbs::Certificate;
use serde_json::{Value, json};

use super::world::{World, csr, csr_of, csr_with, nobody, registration};
use crate::config::Certify;
use crate::issuance::testing::Fault;
use crate::service::acme::testing::fresh_key;
use crate::service::nodes::SeedStanding;

#[tokio::test]
async fn a_seed_is_good_for_one_certificate_with_the_names_and_the_profile_of_its_node() {
    let world = World::new().await;
    let mut node = registration("app.example.test", "node");
    node.names = vec![Pattern::parse(".app.example.test").unwrap()];
    world.services().register_node(&world.permitted(), node).await.unwrap();
    let seed = world.seed("app.example.test").await;
    let ask = |csr: String, profile: Value| {
        let body = json!({"csr": csr, "profile": profile, "seed": seed});
        let world = &world;
        async move { world.post(&nobody(), "/api/v1/public/certify", body).await }
    };
    // What is not the node's changes nothing, and the seed stays good.
    let foreign = csr("other.example.test");
    assert!(ask(foreign, json!("server")).await.is_error(400, "VALIDATION_ERROR").contains("not registered for"));
    let titled = csr_with(&fresh_key(), "Mallory", &["app.example.test"]);
    assert!(ask(titled, json!("server")).await.is_error(400, "VALIDATION_ERROR").contains("Mallory"));
    ask(csr("app.example.test"), json!("user")).await.is_error(400, "VALIDATION_ERROR");
    ask(csr("app.example.test"), json!("nothing")).await.is_error(400, "VALIDATION_ERROR");
    assert!(world.inner.signer.certificates().is_empty());

    let key = fresh_key();
    let wanted = csr_with(&key, "app.example.test", &["app.example.test", "db.app.example.test"]);
    let first = ask(wanted.clone(), json!("webapp")).await;
    let data = first.data();
    assert_eq!((&data["dn"], &data["profile"]), (&json!("/CN=app.example.test"), &json!("server")));
    assert!(data.get("private_key").is_none());
    let (_, der) = der::pem::decode_vec(data["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let certificate = Certificate::from_der(&der).unwrap();
    certificate.verify(world.inner.signer.issuer.key()).unwrap();
    assert_eq!(certificate.names().len(), 2);

    // Whoever lost the answer asks again, with the same key; nobody else gets anything.
    let again = ask(wanted, json!("server")).await;
    assert_eq!(again.data()["certificate"], data["certificate"]);
    let thief = ask(csr("app.example.test"), Value::Null).await;
    assert!(thief.is_error(401, "AUTH_ERROR").contains("was used"));
    assert_eq!(world.inner.signer.certificates().len(), 1);
}

#[tokio::test]
async fn without_a_good_seed_nothing_is_issued() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let body = |seed: Value| json!({"csr": csr("app.example.test"), "seed": seed});
    for (seed, says) in [(Value::Null, "send the one"), (json!("guess"), "not known"), (json!(""), "not known")] {
        let refused = world.post(&nobody(), "/api/v1/certify", body(seed)).await;
        assert!(refused.is_error(401, "AUTH_ERROR").contains(says), "{refused:?}");
    }
    let late = world.seed("app.example.test").await;
    world.inner.clock.advance(3601);
    let refused = world.post(&nobody(), "/api/v1/certify", body(json!(late))).await;
    assert!(refused.is_error(401, "AUTH_ERROR").contains("expired"));
    // Nor for a node that is gone, though another one has its name now.
    let seed = world.seed("app.example.test").await;
    let name = policy::registration::CommonName::parse("app.example.test").unwrap();
    world.services().delete_node(&world.permitted(), &name).await.unwrap();
    world.post(&nobody(), "/api/v1/certify", body(json!(seed))).await.is_error(401, "AUTH_ERROR");
    world.register("app.example.test").await;
    world.post(&nobody(), "/api/v1/certify", body(json!(seed))).await.is_error(401, "AUTH_ERROR");
    assert!(world.inner.signer.certificates().is_empty());
    let journal = world.inner.signer.inner().lines.join("\n");
    assert!(journal.contains("seed_issued") && !journal.contains(&seed), "the journal has no seed");
}

#[tokio::test]
async fn a_seed_is_given_back_when_nothing_is_signed() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let seed = world.seed("app.example.test").await;
    // The profile takes RSA keys of 2048 bits and more: policy refuses this one after the seed is held.
    world.inner.signer.inner().faults = vec![Fault::HoldAndRefuse];
    let signer = std::sync::Arc::clone(&world.inner.signer);
    tokio::spawn(async move {
        while !signer.inner().holding {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        signer.release();
    });
    let body = json!({"csr": csr("app.example.test"), "seed": seed});
    world.post(&nobody(), "/api/v1/certify", body.clone()).await.is_error(400, "VALIDATION_ERROR");
    let answer = world.post(&nobody(), "/api/v1/certify", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn two_requests_with_one_seed_get_one_certificate() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let seed = world.seed("app.example.test").await;
    let body = || json!({"csr": csr("app.example.test"), "seed": seed});
    let somebody = nobody();
    let (one, other) = tokio::join!(
        world.post(&somebody, "/api/v1/certify", body()),
        world.post(&somebody, "/api/v1/certify", body())
    );
    let good = [&one, &other].iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!((good, world.inner.signer.certificates().len()), (1, 1), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_seed_whose_daemon_died_is_settled_by_what_the_journal_has() {
    let world = World::new().await;
    world.register("app.example.test").await;
    let (key, seed) = (fresh_key(), world.seed("app.example.test").await);
    let body = || json!({"csr": csr_of(&key, "app.example.test"), "seed": seed});
    let first = world.post(&nobody(), "/api/v1/certify", body()).await;
    // As if it had died between the signature and the note that the seed is used.
    world.services().forget_use_of_seed(&seed).await;
    let listed =
        world.services().seeds(&world.permitted(), &"app.example.test".to_owned().try_into().unwrap()).unwrap();
    assert_eq!(listed[0].standing, SeedStanding::Used);
    world.post(&nobody(), "/api/v1/certify", body()).await.is_error(503, "CA_ERROR");
    world.inner.clock.advance(121);
    let again = world.post(&nobody(), "/api/v1/certify", body()).await;
    assert_eq!(again.data()["certificate"], first.data()["certificate"]);
}

#[tokio::test]
async fn the_open_mode_issues_to_anybody_from_profiles_that_take_it_and_no_others() {
    let world = World::adjusted(|services| {
        services.upki.certify = Certify::Open;
        services.upki.profiles.insert("server".to_owned(), "open".to_owned());
    });
    let world = world.await;
    let body = json!({"csr": csr("any.example.test")});
    let answer = world.post(&nobody(), "/api/v1/certify", body).await;
    assert_eq!(answer.data()["dn"], "/CN=any.example.test");
    let journal = world.inner.signer.inner().lines.join("\n");
    assert!(journal.contains(r#""method":"unproven""#) && journal.contains("anonymous"), "the journal says so");
    let strict = json!({"csr": csr("any.example.test"), "profile": "webapp"});
    let refused = world.post(&nobody(), "/api/v1/certify", strict).await;
    assert!(refused.is_error(400, "VALIDATION_ERROR").contains("unproven"), "{refused:?}");
}

#[tokio::test]
async fn while_sealed_a_certificate_is_503_before_anything_is_read() {
    let world = World::new().await;
    world.seal();
    let _ = world.services().ca.status().await;
    for path in [
        "/api/v1/certify",
        "/api/v1/public/certify",
        "/api/v1/private/nodes",
        "/api/v1/client/renew",
        "/api/v1/private/crl/generate",
    ] {
        let answer = world.send(&nobody(), http::Method::POST, path, &[], b"{".to_vec()).await;
        assert_eq!(answer.is_error(503, "CA_ERROR"), "strongbox sealed", "{path}");
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
}
