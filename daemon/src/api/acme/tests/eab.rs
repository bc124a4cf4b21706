//! External account bindings (RFC 8555 section 7.3.4), and what they bind to.

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hsm::wire::SealStatus;
use http::StatusCode;
use policy::effects::UnixTime;
use policy::grant::{Grant, Pattern, RateLimits, Reuse};
use serde_json::{Value, json};

use super::client::{Answer, Client, encode};
use super::contract::expect;
use crate::config::ExternalAccounts;
use crate::service::acme::administration::AccountQuery;
use crate::service::acme::eab_keys::BoundAccounts;
use crate::service::acme::testing::{BASE, World, csr};
use crate::service::acme::{AccountStatus, eab};
use crate::service::administrators::Permitted;

/// A key and its secret.
struct Key {
    id: String,
    secret: Vec<u8>,
}

fn open() -> Grant {
    Grant {
        label: "test".into(),
        names: Vec::new(),
        profiles: Vec::new(),
        orders: None,
        certificates: None,
        expires: None,
        reuse: Reuse::Once,
        limits: RateLimits::Apply,
    }
}

fn reusable() -> Grant {
    Grant { reuse: Reuse::Many, ..open() }
}

impl World {
    fn permitted(&self) -> Permitted {
        Permitted::for_tests(&self.services)
    }

    async fn eab_key(&self, grant: Grant) -> Key {
        let (key, secret) = self.acme.create_eab_key(&self.permitted(), grant).await.unwrap();
        Key { id: key.id, secret: URL_SAFE_NO_PAD.decode(secret.reveal().as_bytes()).unwrap() }
    }

    /// A client whose account is bound to the key.
    async fn bound(&self, key: &Key) -> Client {
        let mut client = Client::stranger(self);
        let answer = client.bind(key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        client.kid = answer.header("location").to_owned();
        client
    }
}

/// A binding over `header` and `payload`, with a MAC of the key.
fn binding(key: &Key, algorithm: hmac::Algorithm, header: &Value, payload: &Value) -> Value {
    let (protected, payload) = (encode(header.to_string().as_bytes()), encode(payload.to_string().as_bytes()));
    let mac = hmac::sign(&hmac::Key::new(algorithm, &key.secret), format!("{protected}.{payload}").as_bytes());
    json!({"protected": protected, "payload": payload, "signature": encode(mac.as_ref())})
}

impl Client {
    fn binding(&self, key: &Key) -> Value {
        let header = json!({"alg": "HS256", "kid": key.id, "url": format!("{BASE}/acme/new-account")});
        binding(key, HMAC_SHA256, &header, &self.jwk())
    }

    async fn bind(&self, key: &Key) -> Answer {
        self.register(json!({"externalAccountBinding": self.binding(key)})).await
    }
}

///
#[tokio::test]
async fn a_ca_that_demands_bindings_says_so_and_refuses_accounts_without() {
    let world = World::with(|acme| acme.accounts.external = ExternalAccounts::Required).await;
    let client = Client::stranger(&world);
    assert_eq!(client.plain("GET", "/directory").await.json()["meta"]["externalAccountRequired"], true);
    let answer = client.register(json!({})).await;
    expect(&answer, StatusCode::FORBIDDEN, "externalAccountRequired", "no binding");
    let answer = client.bind(&world.eab_key(open()).await).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    // Who has an account needs none to find it.
    assert_eq!(client.register(json!({})).await.status, StatusCode::OK);
}

///
#[tokio::test]
async fn a_binding_with_each_of_the_macs_is_taken_and_shown_as_it_was_sent() {
    let world = World::new().await;
    for (name, algorithm) in [("HS256", HMAC_SHA256), ("HS384", HMAC_SHA384), ("HS512", HMAC_SHA512)] {
        let key = world.eab_key(open()).await;
        let mut client = Client::stranger(&world);
        let header = json!({"alg": name, "kid": key.id, "url": format!("{BASE}/acme/new-account")});
        let sent = binding(&key, algorithm, &header, &client.jwk());
        let answer = client.register(json!({"externalAccountBinding": sent})).await;
        assert_eq!((answer.status, &answer.json()["externalAccountBinding"]), (StatusCode::CREATED, &sent), "{name}");
        client.kid = answer.header("location").to_owned();
        assert_eq!(client.read(&client.kid).await.json()["externalAccountBinding"], sent);
    }
}

///
#[tokio::test]
async fn a_binding_that_is_wrong_in_any_part_is_refused_and_the_key_stays_good() {
    let world = World::new().await;
    let (key, other) = (world.eab_key(open()).await, world.eab_key(open()).await);
    let (client, stranger) = (Client::stranger(&world), Client::stranger(&world));
    let good = json!({"alg": "HS256", "kid": key.id, "url": format!("{BASE}/acme/new-account")});
    let with = |member: &str, value: Value| {
        let mut header = good.clone();
        header[member] = value;
        binding(&key, HMAC_SHA256, &header, &client.jwk())
    };
    let changed = |member: &str, value: Value| {
        let mut binding = client.binding(&key);
        binding[member] = value;
        binding
    };
    let (bad, forbidden) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN);
    for (what, binding, status, kind) in [
        ("a signature algorithm", with("alg", json!("ES256")), bad, "malformed"),
        ("no algorithm", with("alg", json!("none")), bad, "malformed"),
        ("a nonce", with("nonce", json!("Zm9yZWlnbg")), bad, "malformed"),
        ("another URL", with("url", json!(format!("{BASE}/acme/new-order"))), bad, "malformed"),
        ("no URL", with("url", json!(null)), bad, "malformed"),
        ("no kid", with("kid", json!(null)), bad, "malformed"),
        ("a jwk beside", with("jwk", client.jwk()), bad, "malformed"),
        ("another account key", binding(&key, HMAC_SHA256, &good, &stranger.jwk()), bad, "malformed"),
        ("no key", binding(&key, HMAC_SHA256, &good, &json!({})), bad, "malformed"),
        ("padding", changed("signature", json!("AA==")), bad, "malformed"),
        ("no signature", changed("signature", json!(null)), bad, "malformed"),
        ("an unprotected header", changed("header", json!({})), bad, "malformed"),
        ("an unknown kid", with("kid", json!("0".repeat(32))), forbidden, "unauthorized"),
        ("a kid of another shape", with("kid", json!("x".repeat(2000))), forbidden, "unauthorized"),
        ("another key's kid", with("kid", json!(other.id)), forbidden, "unauthorized"),
        ("another MAC", changed("signature", json!(encode(&[0; 32]))), forbidden, "unauthorized"),
        ("a short MAC", changed("signature", json!("")), forbidden, "unauthorized"),
        ("a MAC under another name", with("alg", json!("HS512")), forbidden, "unauthorized"),
    ] {
        expect(&client.register(json!({"externalAccountBinding": binding})).await, status, kind, what);
    }
    expect(&client.register(json!({"externalAccountBinding": "text"})).await, bad, "malformed", "no object");
    assert_eq!(client.bind(&key).await.status, StatusCode::CREATED);
}

///
#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_one_account_binds_one_even_if_many_come_at_once() {
    let world = World::new().await;
    let key = world.eab_key(open()).await;
    let clients: Vec<Client> = (0..8).map(|_| Client::stranger(&world)).collect();
    let mut won = 0;
    let answers = {
        let key = std::sync::Arc::new(key);
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let key = key.clone();
                tokio::spawn(async move { client.bind(&key).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    };
    for answer in answers {
        match answer.status {
            StatusCode::CREATED => won += 1,
            _ => expect(&answer, StatusCode::FORBIDDEN, "unauthorized", "used"),
        }
    }
    assert_eq!(won, 1);
    // The secret is not needed any more, and so not there any more.
    assert!(!eab::has_secret(&world.store));
}

#[tokio::test]
async fn a_key_binds_accounts_until_it_expires_or_is_revoked() {
    let world = World::new().await;
    let expires = Some(UnixTime(world.acme.now().0 + 100));
    let key = world.eab_key(Grant { expires, ..reusable() }).await;
    for _ in 0..3 {
        world.bound(&key).await;
    }
    world.clock.advance(100);
    let client = world.bound(&key).await;
    world.clock.advance(1);
    expect(&Client::stranger(&world).bind(&key).await, StatusCode::FORBIDDEN, "unauthorized", "expired");
    assert_eq!(client.order(&["a.example.test"]).await.status, StatusCode::CREATED, "its accounts go on");

    let key = world.eab_key(reusable()).await;
    let client = world.bound(&key).await;
    assert_eq!(world.acme.revoke_eab_key(&world.permitted(), &key.id, BoundAccounts::Keep).await.unwrap(), 0);
    expect(&Client::stranger(&world).bind(&key).await, StatusCode::FORBIDDEN, "unauthorized", "revoked");
    assert_eq!(client.order(&["a.example.test"]).await.status, StatusCode::CREATED, "its accounts stay");
}

#[tokio::test]
async fn a_key_that_is_revoked_with_its_accounts_ends_those_and_no_others() {
    let world = World::new().await;
    let (key, other) = (world.eab_key(reusable()).await, world.eab_key(reusable()).await);
    let ended = [world.bound(&key).await, world.bound(&key).await];
    let spared = [world.bound(&other).await, Client::new(&world).await];
    let permitted = world.permitted();
    assert_eq!(world.acme.revoke_eab_key(&permitted, &key.id, BoundAccounts::End).await.unwrap(), 2);
    for client in &ended {
        for answer in [client.read(&client.kid).await, client.register(json!({})).await] {
            expect(&answer, StatusCode::UNAUTHORIZED, "unauthorized", "ended");
        }
    }
    for client in &spared {
        assert_eq!(client.read(&client.kid).await.status, StatusCode::OK);
    }
    // Repeated, because nobody knows how far it came, it does the rest.
    assert_eq!(world.acme.revoke_eab_key(&permitted, &key.id, BoundAccounts::End).await.unwrap(), 0);
    let lines = world.signer.inner().lines.join("\n");
    assert!(lines.contains("eab_key_created") && lines.contains("eab_key_revoked"), "{lines}");
    let of_key = |key: &Key| {
        let query = AccountQuery { eab: Some(key.id.clone()), limit: 10, after: None };
        let page = world.acme.list_accounts(&permitted, &query).unwrap();
        page.accounts.iter().map(|account| account.record.status).collect::<Vec<_>>()
    };
    assert_eq!(of_key(&key), [AccountStatus::Revoked; 2]);
    assert_eq!(of_key(&other), [AccountStatus::Valid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_account_orders_within_the_names_and_profiles_of_its_key() {
    let world = World::new().await;
    let names = vec![Pattern::parse(".team.example.test").unwrap(), Pattern::parse("192.0.2.0/24").unwrap()];
    let key = world.eab_key(Grant { names, profiles: vec!["server".into()], ..open() }).await;
    let client = world.bound(&key).await;
    client.issue(&world, &["a.team.example.test"]).await;
    let answer = client.order(&["a.team.example.test", "team.example.test", "b.example.test"]).await;
    expect(&answer, StatusCode::BAD_REQUEST, "rejectedIdentifier", "names");
    let problems = answer.json()["subproblems"].as_array().unwrap().clone();
    let named: Vec<_> = problems.iter().map(|problem| problem["identifier"]["value"].as_str().unwrap()).collect();
    assert_eq!(named, ["team.example.test", "b.example.test"]);
    assert!(problems[0]["detail"].as_str().unwrap().contains(".team.example.test"), "{problems:?}");
    let order = json!({"identifiers": [{"type": "dns", "value": "a.team.example.test"}], "profile": "shortlived"});
    expect(&client.post("/acme/new-order", order).await, StatusCode::BAD_REQUEST, "invalidProfile", "profile");
    assert_eq!(Client::new(&world).await.order(&["b.example.test"]).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_bound_to_a_narrower_key_cannot_finish_what_that_key_does_not_grant() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test"]).await;
    let narrow = Grant { names: vec![Pattern::parse(".other.test").unwrap()], ..open() };
    let (key, permitted) = (world.eab_key(narrow).await, world.permitted());
    let account = client.kid.rsplit('/').next().unwrap();
    world.acme.bind_account(&permitted, account, &key.id).await.unwrap();
    let answer = client.finalize(&order, &csr(&["a.example.test"])).await;
    expect(&answer, StatusCode::BAD_REQUEST, "rejectedIdentifier", "finalize");
    assert_eq!(world.signer.certificates().len(), 0);
    assert!(client.read(&client.kid).await.json().get("externalAccountBinding").is_none());
    // The key was good for one account. Bound to a wider one, the account goes on.
    let other = Client::new(&world).await;
    let other = other.kid.rsplit('/').next().unwrap();
    assert!(world.acme.bind_account(&permitted, other, &key.id).await.is_err());
    let wide = world.eab_key(open()).await;
    world.acme.bind_account(&permitted, account, &wide.id).await.unwrap();
    assert_eq!(client.finalize(&order, &csr(&["a.example.test"])).await.status, StatusCode::OK);
    let lines = world.signer.inner().lines.join("\n");
    assert_eq!(lines.matches("account_bound").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_orders_holds_for_all_accounts_of_the_key_together_also_in_parallel() {
    let world = World::new().await;
    let key = world.eab_key(Grant { orders: Some(10), ..reusable() }).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let client = std::sync::Arc::new(world.bound(&key).await);
        for number in 0..5 {
            let client = client.clone();
            tasks.push(tokio::spawn(async move { client.order(&[&format!("a{number}.example.test")]).await }));
        }
    }
    let mut made = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        match answer.status {
            StatusCode::CREATED => made += 1,
            _ => expect(&answer, StatusCode::FORBIDDEN, "unauthorized", "quota"),
        }
    }
    assert_eq!(made, 10);
    assert_eq!(world.acme.show_eab_key(&world.permitted(), &key.id).unwrap().record.orders, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_certificates_counts_an_order_once_however_often_it_is_finalized() {
    let world = World::new().await;
    let key = world.eab_key(Grant { certificates: Some(2), ..open() }).await;
    let client = world.bound(&key).await;
    let first = client.ready_order(&world, &["a.example.test"]).await;
    // Repeated with the same key, as a client does whose answer was lost.
    let request = csr(&["a.example.test"]);
    for _ in 0..3 {
        client.finalize(&first, &request).await;
    }
    assert_eq!(world.acme.show_eab_key(&world.permitted(), &key.id).unwrap().record.certificates, 1);
    client.issue(&world, &["a.example.test"]).await;
    let third = client.ready_order(&world, &["a.example.test"]).await;
    expect(&client.finalize(&third, &request).await, StatusCode::FORBIDDEN, "unauthorized", "quota");
    assert_eq!(world.signer.certificates().len(), 2);
    assert_eq!(client.read(&third).await.json()["status"], "ready");
}

#[tokio::test]
async fn an_account_that_an_administrator_ends_is_revoked_and_stays_so() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let permitted = world.permitted();
    let key: crate::service::acme::key::AccountKey = serde_json::from_value(client.jwk()).unwrap();
    world.acme.end_account(&permitted, &key.thumbprint()).await.unwrap();
    for answer in [client.read(&client.kid).await, client.register(json!({})).await] {
        expect(&answer, StatusCode::UNAUTHORIZED, "unauthorized", "A-099");
    }
    let account = world.acme.show_account(&permitted, &key.thumbprint()).unwrap();
    assert_eq!(account.record.status, AccountStatus::Revoked);
    assert!(account.record.ended.is_some_and(|ended| ended.by.starts_with("admin:")));
    assert!(world.acme.end_account(&permitted, &account.id).await.is_err(), "ended before");
    assert!(world.signer.inner().lines.join("\n").contains("account_ended"));
}

#[tokio::test]
async fn secrets_from_before_they_were_encrypted_are_good_and_are_encrypted_once_the_ca_is_unsealed() {
    let world = World::new().await;
    let key = world.eab_key(reusable()).await;
    eab::keep_as_before(&world.acme, &key.id, &key.secret).await;
    world.bound(&key).await;
    assert!(eab::has_plain_secret(&world.store));
    world.signer.inner().seal = SealStatus::Sealed;
    // Whether that was seen already or not.
    assert!(matches!(world.acme.encrypt_some().await, Ok(0) | Err(_)) && eab::has_plain_secret(&world.store));
    world.signer.inner().seal = SealStatus::Unsealed;
    world.services.ca.status().await.unwrap();
    assert_eq!(world.acme.encrypt_some().await.unwrap(), 1);
    assert!(eab::has_secret(&world.store) && !eab::has_plain_secret(&world.store));
    world.bound(&key).await;
    assert_eq!(world.acme.encrypt_some().await.unwrap(), 0);
}
