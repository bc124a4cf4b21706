//! The rows A-… about accounts, their keys, and terms of service.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Answer, Client, encode};
use super::contract::expect;
use crate::config::{NonceKeeper, TermsChanged};
use crate::service::acme::testing::{BASE, World, csr, csr_with};

/// Registers with a key that `sign` has, under the algorithm's name.
async fn register(client: &Client, alg: &str, jwk: Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Answer {
    let header =
        json!({"alg": alg, "jwk": jwk, "nonce": client.nonce().await, "url": format!("{BASE}/acme/new-account")});
    let (protected, payload) = (encode(header.to_string().as_bytes()), encode(b"{}"));
    let signature = encode(&sign(format!("{protected}.{payload}").as_bytes()));
    let jws = json!({"protected": protected, "payload": payload, "signature": signature});
    client.send("/acme/new-account", &jws).await
}

/// A-014
#[tokio::test]
async fn keys_of_every_accepted_kind_open_accounts() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    let random = SystemRandom::new();

    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let (x, y) = p384.public_key().as_ref()[1..].split_at(48);
    let jwk = json!({"kty": "EC", "crv": "P-384", "x": encode(x), "y": encode(y)});
    let sign = |message: &[u8]| p384.sign(&random, message).unwrap().as_ref().to_vec();
    assert_eq!(register(&client, "ES384", jwk, sign).await.status, StatusCode::CREATED);

    // RFC 8037 calls the algorithm EdDSA, RFC 9864 Ed25519.
    for alg in ["EdDSA", "Ed25519"] {
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed25519.public_key().as_ref())});
        let sign = |message: &[u8]| ed25519.sign(message).as_ref().to_vec();
        assert_eq!(register(&client, alg, jwk.clone(), sign).await.status, StatusCode::CREATED);
        expect(&register(&client, "ES256", jwk, sign).await, StatusCode::BAD_REQUEST, "badSignatureAlgorithm", alg);
    }

    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // RSAPublicKey: the modulus stands after nine octets of heads and sign, the exponent is 65537.
    let modulus = &rsa.public_key().as_ref()[9..265];
    let jwk = json!({"kty": "RSA", "n": encode(modulus), "e": "AQAB"});
    let sign = |message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    };
    assert_eq!(register(&client, "RS256", jwk, sign).await.status, StatusCode::CREATED);
}

/// A-037, A-046, A-048
#[tokio::test]
async fn an_account_shows_its_status_contacts_agreement_and_orders() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    let payload = json!({"contact": ["mailto:a@example.test"], "termsOfServiceAgreed": true, "orders": "x", "x": 1});
    let answer = client.register(payload).await;
    let location = answer.header("location");
    assert_eq!(
        answer.json(),
        json!({
            "status": "valid", "contact": ["mailto:a@example.test"], "termsOfServiceAgreed": true,
            "orders": format!("{location}/orders"),
        })
    );
    assert!(location.starts_with(&format!("{BASE}/acme/account/")), "{location}");
}

/// What a client sends as Host is its own affair: CAA and dns-account-01 hash the account's URL.
#[tokio::test]
async fn urls_do_not_depend_on_the_host_header() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let jws = client
        .sign(&client.header("/acme/new-order").await, r#"{"identifiers":[{"type":"dns","value":"a.example.test"}]}"#);
    let request = http::Request::post("/acme/new-order")
        .header("content-type", "application/jose+json")
        .header("host", "evil.test")
        .header("x-forwarded-host", "evil.test")
        .body(axum::body::Body::from(jws.to_string()));
    let response = tower::ServiceExt::oneshot(client.router.clone(), request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.headers()["location"].to_str().unwrap().starts_with(BASE));
}

#[tokio::test]
async fn an_account_is_also_known_by_the_thumbprint_of_its_key() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let canonical = client.kid.clone();
    let key: crate::service::acme::key::AccountKey = serde_json::from_value(client.jwk()).unwrap();
    let other = Client { kid: format!("{BASE}/acme/account/{}", key.thumbprint()), ..client };
    let order = other.order(&["a.example.test"]).await;
    assert_eq!(order.status, StatusCode::CREATED, "{order:?}");
    for url in [&canonical, &other.kid] {
        let account = other.read(url).await;
        assert_eq!(
            (account.status, &account.json()["orders"]),
            (StatusCode::OK, &json!(format!("{canonical}/orders")))
        );
        let orders = other.read(&format!("{url}/orders")).await;
        assert_eq!(orders.json()["orders"], json!([order.header("location")]));
    }
    assert_eq!(other.register(json!({})).await.header("location"), canonical);
    let stranger = Client::new(&world).await;
    expect(&stranger.read(&other.kid).await, StatusCode::FORBIDDEN, "unauthorized", "another account's thumbprint");
}

/// A-050
#[tokio::test]
async fn terms_of_service_that_are_published_must_be_agreed_to() {
    let world = World::with(|acme| acme.terms_of_service = Some("https://ca.test/terms/1".into())).await;
    let client = Client::stranger(&world);
    assert_eq!(client.plain("GET", "/directory").await.json()["meta"]["termsOfService"], "https://ca.test/terms/1");
    for payload in [json!({}), json!({"termsOfServiceAgreed": false})] {
        let answer = client.register(payload).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::FORBIDDEN, "userActionRequired"));
        let links: Vec<_> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
        assert!(links.contains(&"<https://ca.test/terms/1>;rel=\"terms-of-service\""), "{links:?}");
    }
    assert_eq!(client.register(json!({"termsOfServiceAgreed": true})).await.status, StatusCode::CREATED);
}

/// A-053
#[tokio::test(flavor = "multi_thread")]
async fn when_the_terms_change_an_account_must_agree_again_if_the_configuration_says_so() {
    let world = World::with(|acme| acme.terms_of_service = Some("https://ca.test/terms/1".into())).await;
    let mut client = Client::stranger(&world);
    client.kid = client.register(json!({"termsOfServiceAgreed": true})).await.header("location").to_owned();
    let certificate = client.issue(&world, &["a.example.test"]).await;
    let der = client.certificate(&certificate).await;

    // Another URL alone changes nothing.
    let world = world.reconfigure(|acme| acme.terms_of_service = Some("https://ca.test/terms/2".into())).await;
    client.router = crate::api::acme::router(world.acme.clone());
    assert_eq!(client.order(&["b.example.test"]).await.status, StatusCode::CREATED);
    assert_eq!(client.read(&client.kid).await.json()["termsOfServiceAgreed"], true);

    let world = world.reconfigure(|acme| acme.accounts.terms_changed = TermsChanged::Require).await;
    client.router = crate::api::acme::router(world.acme.clone());
    for answer in [client.order(&["c.example.test"]).await, client.read(&certificate).await] {
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::FORBIDDEN, "userActionRequired"));
        let links: Vec<_> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
        assert!(links.contains(&"<https://ca.test/terms/2>;rel=\"terms-of-service\""), "{links:?}");
        let instance = answer.json()["instance"].as_str().unwrap().to_owned();
        let page = client.plain("GET", &instance).await;
        assert_eq!(page.status, StatusCode::OK, "{instance}");
        assert!(String::from_utf8(page.body).unwrap().contains("https://ca.test/terms/2"));
    }
    // What protects the owner goes on.
    assert_eq!(client.read(&client.kid).await.json()["termsOfServiceAgreed"], false);
    let answer = client.post("/acme/revoke-cert", json!({"certificate": encode(&der)})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    // Other changes are no agreement.
    client.post(&client.kid, json!({"contact": [], "termsOfServiceAgreed": false})).await;
    assert_eq!(client.order(&["c.example.test"]).await.error(), "userActionRequired");
    let answer = client.post(&client.kid, json!({"termsOfServiceAgreed": true})).await;
    assert_eq!((answer.status, &answer.json()["termsOfServiceAgreed"]), (StatusCode::OK, &json!(true)));
    assert_eq!(client.order(&["c.example.test"]).await.status, StatusCode::CREATED);
}

impl Client {
    /// Changes the account's key to that of `new`, with the inner JWS as `spoil` leaves it.
    async fn change_key(&self, new: &Client, spoil: impl FnOnce(&mut Value, &mut Value)) -> Answer {
        let url = format!("{BASE}/acme/key-change");
        let mut header = json!({"alg": "ES256", "jwk": new.jwk(), "url": url});
        let mut payload = json!({"account": self.kid, "oldKey": self.jwk()});
        spoil(&mut header, &mut payload);
        self.post("/acme/key-change", new.sign(&header, &payload.to_string())).await
    }
}

/// A-056, A-058
#[tokio::test(flavor = "multi_thread")]
async fn after_a_key_change_the_new_key_has_the_account_and_the_old_one_nothing() {
    let world = World::new().await;
    let old = Client::new(&world).await;
    let order = old.ready_order(&world, &["a.example.test"]).await;
    let new = Client { kid: old.kid.clone(), ..Client::stranger(&world) };
    let answer = old.change_key(&new, |_, _| ()).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("valid")), "{answer:?}");
    expect(&old.read(&old.kid).await, StatusCode::BAD_REQUEST, "malformed", "the old key");
    expect(
        &old.register(json!({"onlyReturnExisting": true})).await,
        StatusCode::BAD_REQUEST,
        "accountDoesNotExist",
        "the old key",
    );
    assert_eq!(new.register(json!({"onlyReturnExisting": true})).await.header("location"), old.kid);
    // Orders and authorizations stay, and so does the name by which CAA knows the account.
    let answer = new.finalize(&order, &csr(&["a.example.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(new.order(&["a.example.test"]).await.json()["status"], "ready");
    let thumbprint = |client: &Client| {
        let key: crate::service::acme::key::AccountKey = serde_json::from_value(client.jwk()).unwrap();
        format!("{BASE}/acme/account/{}", key.thumbprint())
    };
    assert_eq!(Client { kid: thumbprint(&new), ..new }.order(&["a.example.test"]).await.status, StatusCode::CREATED);
    let gone = Client { kid: thumbprint(&old), ..old };
    expect(&gone.read(&gone.kid).await, StatusCode::BAD_REQUEST, "accountDoesNotExist", "the old thumbprint");
}

/// A-056
#[tokio::test]
async fn a_key_change_that_the_new_key_did_not_sign_for_this_account_is_refused() {
    let world = World::new().await;
    let (client, other) = (Client::new(&world).await, Client::new(&world).await);
    let new = Client::stranger(&world);
    let bad = StatusCode::BAD_REQUEST;
    let malformed = async |what: &str, spoil: &dyn Fn(&mut Value, &mut Value)| {
        expect(&client.change_key(&new, |header, payload| spoil(header, payload)).await, bad, "malformed", what);
    };
    malformed("a nonce", &|header, _| header["nonce"] = "Zm9yZWlnbg".into()).await;
    malformed("another URL", &|header, _| header["url"] = format!("{BASE}/acme/new-order").into()).await;
    malformed("no URL", &|header, _| header["url"] = Value::Null).await;
    malformed("another key's signature", &|header, _| header["jwk"] = other.jwk()).await;
    malformed("a kid", &|header, _| {
        header.as_object_mut().unwrap().remove("jwk");
        header["kid"] = client.kid.clone().into();
    })
    .await;
    malformed("another account", &|_, payload| payload["account"] = other.kid.clone().into()).await;
    malformed("no account", &|_, payload| payload["account"] = Value::Null).await;
    malformed("another old key", &|_, payload| payload["oldKey"] = other.jwk()).await;
    malformed("no old key", &|_, payload| payload["oldKey"] = Value::Null).await;
    malformed("a payload that is no object", &|_, payload| *payload = json!([])).await;
    expect(&client.post("/acme/key-change", json!({})).await, bad, "malformed", "no inner JWS");
    let answer = client.change_key(&new, |header, _| header["alg"] = "HS256".into()).await;
    expect(&answer, bad, "badSignatureAlgorithm", "MAC");
    // A-017
    let weak = |header: &mut Value, _: &mut Value| {
        header["jwk"] = json!({"kty": "EC", "crv": "P-256", "x": encode(&[1; 32]), "y": encode(&[1; 32])});
    };
    expect(&client.change_key(&new, weak).await, bad, "badPublicKey", "no point of the curve");
    assert_eq!(client.read(&client.kid).await.status, StatusCode::OK);
}

/// A-057
#[tokio::test]
async fn a_key_that_has_an_account_is_answered_with_that_account() {
    let world = World::new().await;
    let (client, other) = (Client::new(&world).await, Client::new(&world).await);
    for holder in [&other, &client] {
        let answer = client.change_key(holder, |_, _| ()).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::CONFLICT, holder.kid.as_str()));
        assert_eq!(answer.error(), "malformed");
    }
    other.post(&other.kid, json!({"status": "deactivated"})).await;
    let answer = client.change_key(&other, |_, _| ()).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::CONFLICT, other.kid.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_change_and_a_new_account_with_the_same_key_at_once_leave_one_account_with_it() {
    let world = World::new().await;
    for _ in 0..20 {
        let (first, second) = (Client::new(&world).await, Client::new(&world).await);
        let mut new = Client::stranger(&world);
        let (changed, also, opened) = tokio::join!(
            first.change_key(&new, |_, _| ()),
            second.change_key(&new, |_, _| ()),
            new.register(json!({}))
        );
        let wins = [&changed, &also].iter().filter(|answer| answer.status == StatusCode::OK).count();
        let created = usize::from(opened.status == StatusCode::CREATED);
        assert_eq!(wins + created, 1, "{changed:?} {also:?} {opened:?}");
        new.kid = new.register(json!({"onlyReturnExisting": true})).await.header("location").to_owned();
        assert_eq!(new.read(&new.kid).await.status, StatusCode::OK);
    }
}

/// A-093
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_certificate_is_no_account_key() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let stranger = Client::stranger(&world);
    let order = client.ready_order(&world, &["a.example.test"]).await;
    let copy = |client: &Client| {
        let scheme = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        EcdsaKeyPair::from_pkcs8(scheme, client.key.to_pkcs8v1().unwrap().as_ref()).unwrap()
    };
    client.finalize(&order, &csr_with(&copy(&stranger), &["a.example.test"])).await;
    expect(&stranger.register(json!({})).await, StatusCode::BAD_REQUEST, "badPublicKey", "newAccount");
    let answer = client.change_key(&stranger, |_, _| ()).await;
    expect(&answer, StatusCode::BAD_REQUEST, "badPublicKey", "keyChange");
}

/// A-059
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_ends_takes_its_pending_orders_and_authorizations_with_it_but_no_certificate() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    client.issue(&world, &["a.example.test"]).await;
    let mut pending = Vec::new();
    for number in 0..12 {
        let order = client.order(&[&format!("b{number}.example.test")]).await;
        pending.push(order.json()["authorizations"][0].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
    }
    let id = client.kid.rsplit('/').next().unwrap().to_owned();
    let answer = client.post(&client.kid, json!({"status": "deactivated"})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("deactivated")));
    let account = world.acme.account(&id).unwrap().unwrap();
    for authorization in &pending {
        let ended = || {
            let authorization = world.acme.authorization(&account, authorization).unwrap();
            format!("{:?}", authorization.record).contains("Deactivated")
        };
        for _ in 0..500 {
            if ended() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(ended(), "{authorization}");
    }
    assert!(world.acme.orders(&account, None).unwrap().orders.len() <= 1, "only the one with a certificate is left");
    assert!(!world.signer.inner().lines.iter().any(|line| line.contains("\"revoked\"")));
}

/// A-024, A-098, with nonces in the store.
#[tokio::test(flavor = "multi_thread")]
async fn nonces_in_the_store_are_good_once_and_outlive_a_crash() {
    let world = World::with(|acme| acme.accounts.nonces = NonceKeeper::Store).await;
    let mut client = Client::new(&world).await;
    let jws = client.sign(&client.header(&client.kid[BASE.len()..]).await, "");
    let (first, second) = tokio::join!(client.send(&client.kid, &jws), client.send(&client.kid, &jws));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::BAD_REQUEST]);
    let jws = client.sign(&client.header(&client.kid[BASE.len()..]).await, "");
    let world = world.restart().await;
    client.router = crate::api::acme::router(world.acme.clone());
    assert_eq!(client.send(&client.kid, &jws).await.status, StatusCode::OK);
    let used = client.send(&client.kid, &jws).await;
    expect(&used, StatusCode::BAD_REQUEST, "badNonce", "used before");
    assert_eq!(world.services.metrics_text("signet_acme_nonces_refused_total"), "1");
}

/// A-024, I21: with nonces in memory, a crash costs a client one more round.
#[tokio::test]
async fn after_a_crash_a_nonce_is_refused_with_a_fresh_one_that_is_good() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let path = client.kid[BASE.len()..].to_owned();
    let mut header = client.header(&path).await;
    let world = world.restart().await;
    client.router = crate::api::acme::router(world.acme.clone());
    let refused = client.send(&path, &client.sign(&header, "")).await;
    expect(&refused, StatusCode::BAD_REQUEST, "badNonce", "after a crash");
    header["nonce"] = refused.header("replay-nonce").into();
    assert_eq!(client.send(&path, &client.sign(&header, "")).await.status, StatusCode::OK);
    // An orderly stop costs nothing.
    let header = client.header(&path).await;
    world.acme.stop().await.unwrap();
    let world = world.restart().await;
    client.router = crate::api::acme::router(world.acme.clone());
    assert_eq!(client.send(&path, &client.sign(&header, "")).await.status, StatusCode::OK);
}

impl crate::service::Services {
    /// The value of a metric without labels.
    fn metrics_text(&self, name: &str) -> String {
        let text = self.render_metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).to_owned()
    }
}
