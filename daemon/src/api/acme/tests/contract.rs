//! The rows A-… of RFC 8555's requirements: every endpoint with each thing wrong that can be.

use hsm::wire::SealStatus;
use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Answer, Client, encode};
use crate::service::acme::testing::{BASE, World, csr, csr_with, fresh_key};

/// Every resource that takes POST, with ids that name nothing.
pub(super) const POST_PATHS: [&str; 14] = [
    "/acme/new-account",
    "/acme/key-change",
    "/acme/new-order",
    "/acme/revoke-cert",
    "/acme/account/none",
    "/acme/order/none",
    "/acme/order/none/finalize",
    "/acme/authorization/none",
    "/acme/new-authz",
    "/acme/challenge/none/http-01",
    "/acme/chall/none.http-01",
    "/acme/certificate/none",
    "/acme/certificate/none/1",
    "/acme/cert/none",
];

/// what a browser asks before it lets a page send a JWS, whatever the state of the CA.
#[tokio::test]
async fn a_page_in_a_browser_may_send_requests_and_read_what_it_needs() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    for seal in [SealStatus::Unsealed, SealStatus::Sealed] {
        world.signer.inner().seal = seal;
        world.services.ca.status().await.unwrap();
        for path in POST_PATHS.iter().chain(&["/directory", "/acme/new-nonce"]) {
            let answer = client.plain("OPTIONS", path).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0), "{path}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, POST");
            assert_eq!(answer.header("access-control-allow-headers"), "Content-Type");
        }
        let answer = client.plain("GET", "/directory").await;
        for name in ["Link", "Location", "Replay-Nonce", "Retry-After"] {
            assert!(answer.header("access-control-expose-headers").contains(name), "{name}");
        }
    }
}

/// what every POST resource refuses, and how.
#[tokio::test]
async fn every_resource_refuses_what_breaks_the_rules_of_jws() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    for path in POST_PATHS {
        let by_key = path == "/acme/new-account";
        let header = async || {
            let mut header = client.header(path).await;
            if by_key {
                header["jwk"] = client.jwk();
                header.as_object_mut().unwrap().remove("kid");
            }
            header
        };
        let good = client.sign(&header().await, "{}");
        let changed = |member: &str, value: Value| {
            let mut jws = good.clone();
            jws[member] = value;
            jws
        };
        let without = |member: &str| {
            let mut jws = good.clone();
            jws.as_object_mut().unwrap().remove(member);
            jws
        };
        // Bodies that are no flattened JWS.
        let protected = good["protected"].as_str().unwrap();
        for (what, body) in [
            ("not JSON", json!("text")),
            ("no payload", without("payload")),
            ("no protected", without("protected")),
            ("no signature", without("signature")),
            ("padding", changed("payload", format!("{}==", encode(b"{}x")).into())),
            ("padded signature", changed("signature", format!("{}=", good["signature"].as_str().unwrap()).into())),
            ("standard alphabet", changed("signature", "a+/b".into())),
            ("signatures", changed("signatures", json!([{"protected": protected, "signature": "AA"}]))),
            ("no signatures", changed("signatures", json!(null))),
            ("unprotected header", changed("header", json!({"alg": "ES256"}))),
            ("protected no text", changed("protected", json!({"alg": "ES256"}))),
            ("protected no JSON", changed("protected", encode(b"{").into())),
        ] {
            let answer = client.send(path, &body).await;
            expect(&answer, StatusCode::BAD_REQUEST, "malformed", &format!("{path}: {what}"));
        }
        let compact = format!("{protected}.{}.{}", encode(b"{}"), good["signature"].as_str().unwrap());
        let answer = client.send_as("POST", path, "application/jose+json", compact.into_bytes()).await;
        expect(&answer, StatusCode::BAD_REQUEST, "malformed", "compact form");
        let answer = client.send_as("POST", path, "application/jose+json", vec![0xff; 20]).await;
        expect(&answer, StatusCode::BAD_REQUEST, "malformed", "not UTF-8");

        // Headers.
        let invalid = StatusCode::BAD_REQUEST;
        for (what, member, value, status, kind) in [
            ("b64", "b64", json!(false), invalid, "malformed"),
            ("crit", "crit", json!(["b64"]), invalid, "malformed"),
            ("none", "alg", json!("none"), invalid, "badSignatureAlgorithm"),
            ("MAC", "alg", json!("HS256"), invalid, "badSignatureAlgorithm"),
            ("unknown", "alg", json!("ES512"), invalid, "badSignatureAlgorithm"),
            ("another key's", "alg", json!("ES384"), invalid, "badSignatureAlgorithm"),
            ("no algorithm", "alg", json!(null), invalid, "malformed"),
            ("no nonce", "nonce", json!(null), invalid, "badNonce"),
            ("foreign nonce", "nonce", json!("Zm9yZWlnbg"), invalid, "badNonce"),
            ("nonce not base64url", "nonce", json!("a+b/="), invalid, "malformed"),
            ("no URL", "url", json!(null), invalid, "malformed"),
            ("another URL", "url", json!(format!("{BASE}/acme/other")), StatusCode::FORBIDDEN, "unauthorized"),
            ("another host", "url", json!(format!("https://evil.test{path}")), StatusCode::FORBIDDEN, "unauthorized"),
            ("both kid and jwk", if by_key { "kid" } else { "jwk" }, both(&client, by_key), invalid, "malformed"),
            ("neither kid nor jwk", if by_key { "jwk" } else { "kid" }, json!(null), invalid, "malformed"),
        ] {
            let mut header = header().await;
            header[member] = value;
            let answer = client.send(path, &client.sign(&header, "{}")).await;
            expect(&answer, status, kind, &format!("{path}: {what}"));
            if kind == "badSignatureAlgorithm" {
                assert!(answer.json()["algorithms"].as_array().unwrap().contains(&json!("ES256")));
            }
        }
        if !by_key {
            for kid in [format!("{BASE}/acme/account/none"), "https://evil.test/acme/account/x".into(), String::new()] {
                let mut header = header().await;
                header["kid"] = kid.into();
                let answer = client.send(path, &client.sign(&header, "{}")).await;
                expect(&answer, StatusCode::BAD_REQUEST, "accountDoesNotExist", path);
            }
        }

        // a signature that does not verify.
        let mut signature = client.sign(&header().await, "{}");
        signature["payload"] = encode(b"{\"x\":1}").into();
        expect(&client.send(path, &signature).await, StatusCode::BAD_REQUEST, "malformed", "signature");

        // a nonce is good once.
        let header = header().await;
        client.send(path, &client.sign(&header, "{}")).await;
        expect(&client.send(path, &client.sign(&header, "{}")).await, StatusCode::BAD_REQUEST, "badNonce", path);

        //
        for media_type in ["application/json", "", "text/plain"] {
            let answer = client.send_as("POST", path, media_type, good.to_string().into_bytes()).await;
            expect(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", media_type);
        }
        //
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let answer = client.plain(method, path).await;
            assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"), "{path}");
            assert_eq!(answer.error(), "malformed");
        }
        let answer = client.plain("HEAD", path).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"), "{path}");
    }
}

fn both(client: &Client, by_key: bool) -> Value {
    if by_key { client.kid.clone().into() } else { client.jwk() }
}

pub(super) fn expect(answer: &Answer, status: StatusCode, kind: &str, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, kind), "{what}: {:?}", answer.json());
    let problem = answer.json();
    assert_eq!(problem["status"], status.as_u16(), "{what}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}");
    //
    assert!(problem.get("identifier").is_none());
    //
    assert_eq!(answer.header("replay-nonce").len(), 43, "{what}");
    assert_eq!(answer.header("link"), format!("<{BASE}/acme/directory>;rel=\"index\""));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_directory_and_new_nonce_are_for_everybody() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    for path in ["/directory", "/acme/directory"] {
        let answer = client.plain("GET", path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers.get("link").is_none() && answer.headers.get("replay-nonce").is_none());
        let directory = answer.json();
        for member in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"] {
            assert!(directory[member].as_str().unwrap().starts_with(BASE), "{directory}");
        }
        // what is not offered is not there.
        assert!(directory.get("newAuthz").is_none());
        assert_eq!(directory["meta"]["externalAccountRequired"], false);
        //
        assert_eq!(directory["meta"]["caaIdentities"], json!(["ca.example.test"]));
        assert_eq!(directory["meta"]["profiles"]["server"], "TLS servers, 90 days");
    }
    for (method, status) in [("HEAD", StatusCode::OK), ("GET", StatusCode::NO_CONTENT)] {
        let answer = client.plain(method, "/acme/new-nonce").await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, "no-store"));
        assert_eq!(answer.header("replay-nonce").len(), 43);
    }
    assert_eq!(client.plain("POST", "/acme/new-nonce").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let missing = client.plain("GET", "/acme/nothing").await;
    assert_eq!((missing.status, missing.error().as_str()), (StatusCode::NOT_FOUND, "malformed"));
}

#[tokio::test]
async fn a_new_account_is_created_once_for_a_key() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    let answer = client.register(json!({"onlyReturnExisting": true})).await;
    expect(&answer, StatusCode::BAD_REQUEST, "accountDoesNotExist", "A-047");
    let wish = json!({"contact": ["mailto:a@example.test"], "status": "revoked", "orders": "x", "unknown": {}});
    let created = client.register(wish).await;
    assert_eq!((created.status, created.json()["status"].as_str()), (StatusCode::CREATED, Some("valid")));
    assert_eq!(created.json()["contact"], json!(["mailto:a@example.test"]));
    for payload in [json!({}), json!({"onlyReturnExisting": true}), json!({"contact": ["mailto:b@example.test"]})] {
        let found = client.register(payload).await;
        assert_eq!((found.status, found.header("location")), (StatusCode::OK, created.header("location")));
        assert_eq!(found.json(), created.json());
    }
}

#[tokio::test]
async fn an_account_that_registers_twice_at_once_is_one_account() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    let answers = tokio::join!(client.register(json!({})), client.register(json!({})), client.register(json!({})));
    let locations = [&answers.0, &answers.1, &answers.2].map(|answer| answer.header("location").to_owned());
    assert!(locations.iter().all(|location| *location == locations[0]), "{locations:?}");
}

#[tokio::test]
async fn contacts_are_mailto_with_one_address() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    for (contact, kind) in [
        ("tel:+123", "unsupportedContact"),
        ("https://example.test", "unsupportedContact"),
        ("a@example.test", "invalidContact"),
        ("mailto:", "invalidContact"),
        ("mailto:a", "invalidContact"),
        ("mailto:a@example.test,b@example.test", "invalidContact"),
        ("mailto:a@example.test?subject=x", "invalidContact"),
        ("mailto:a b@example.test", "invalidContact"),
        ("mailto:ä@example.test", "invalidContact"),
    ] {
        expect(&client.register(json!({"contact": [contact]})).await, StatusCode::BAD_REQUEST, kind, contact);
    }
    expect(
        &client.register(json!({"contact": "mailto:a@b.test"})).await,
        StatusCode::BAD_REQUEST,
        "malformed",
        "no list",
    );
    let client = Client::new(&world).await;
    let answer = client.post(&client.kid, json!({"contact": ["mailto:new@example.test"], "status": "valid"})).await;
    assert_eq!((answer.status, &answer.json()["contact"]), (StatusCode::OK, &json!(["mailto:new@example.test"])));
    assert_eq!(client.read(&client.kid).await.json()["contact"], json!(["mailto:new@example.test"]));
}

#[tokio::test]
async fn weak_and_foreign_account_keys_are_refused() {
    let world = World::new().await;
    let client = Client::stranger(&world);
    let point = world.signer.issuer.key().spki();
    let (x, y) = point[point.len() - 64..].split_at(32);
    for (jwk, kind) in [
        (json!({"kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB"}), "badPublicKey"),
        (json!({"kty": "EC", "crv": "P-256", "x": encode(&[1; 32]), "y": encode(&[1; 32])}), "badPublicKey"),
        (json!({"kty": "oct", "k": "AAAA"}), "badPublicKey"),
        (json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}), "badPublicKey"),
        (json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}), "malformed"),
        (json!({"kty": "EC"}), "badPublicKey"),
        (json!({}), "malformed"),
    ] {
        let mut header = client.header("/acme/new-account").await;
        header.as_object_mut().unwrap().remove("kid");
        header["jwk"] = jwk.clone();
        let answer = client.send("/acme/new-account", &client.sign(&header, "{}")).await;
        expect(&answer, StatusCode::BAD_REQUEST, kind, &jwk.to_string());
    }
}

#[tokio::test]
async fn an_order_is_refused_as_a_whole_with_a_reason_for_each_name() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let dns = |value: &str| json!({"type": "dns", "value": value});
    let ip = |value: &str| json!({"type": "ip", "value": value});
    let other = json!({"type": "permanent-identifier", "value": "1"});
    for (identifiers, kind, subproblems) in [
        (json!([]), "malformed", 0),
        (json!([dns("a.example.test"), dns("a.example.test")]), "malformed", 1),
        (json!([dns("A.example.test")]), "malformed", 1),
        (json!([dns("bücher.example.test")]), "malformed", 1),
        (json!([dns("example.test.")]), "malformed", 1),
        (json!([dns("192.0.2.1")]), "malformed", 1),
        (json!([dns("")]), "malformed", 1),
        (json!([ip("192.0.2.1")]), "rejectedIdentifier", 1),
        (json!([other]), "unsupportedIdentifier", 1),
        (json!([dns("a.example.test"), other, ip("192.0.2.1")]), "compound", 2),
        (json!([{"type": "dns"}]), "malformed", 0),
        (json!("x"), "malformed", 0),
        (json!(vec![dns("a.example.test"); 101]), "malformed", 0),
    ] {
        let answer = client.post("/acme/new-order", json!({"identifiers": identifiers})).await;
        expect(&answer, StatusCode::BAD_REQUEST, kind, &identifiers.to_string());
        let problems = answer.json()["subproblems"].as_array().map_or(0, |problems| {
            assert!(problems.iter().all(|problem| problem["identifier"]["type"].is_string()));
            problems.len()
        });
        assert_eq!(problems, subproblems, "{identifiers}");
    }
    let order = |extra: Value| {
        let mut order = json!({"identifiers": [dns("a.example.test")]});
        order.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        order
    };
    for (extra, kind) in [
        (json!({"profile": "nothing"}), "invalidProfile"),
        (json!({"profile": "client"}), "invalidProfile"),
        (json!({"profile": 7}), "malformed"),
        (json!({"notBefore": "2030-01-01T00:00:00Z"}), "malformed"),
        (json!({"notAfter": "2030-01-01T00:00:00Z"}), "malformed"),
        (json!({"replaces": "x"}), "malformed"),
    ] {
        expect(&client.post("/acme/new-order", order(extra)).await, StatusCode::BAD_REQUEST, kind, "order");
    }
    let answer = client.post("/acme/new-order", order(json!({"profile": "shortlived"}))).await;
    assert_eq!((answer.status, answer.json()["profile"].as_str()), (StatusCode::CREATED, Some("shortlived")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_must_ask_for_exactly_the_order_with_a_sound_key() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.ready_order(&world, &["a.example.test", "b.example.test"]).await;
    let account = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        client.key.to_pkcs8v1().unwrap().as_ref(),
    )
    .unwrap();
    let mut broken = csr(&["a.example.test", "b.example.test"]);
    *broken.last_mut().unwrap() ^= 1;
    for (what, request) in [
        ("fewer", csr(&["a.example.test"])),
        ("more", csr(&["a.example.test", "b.example.test", "c.example.test"])),
        ("others", csr(&["a.example.test", "c.example.test"])),
        ("none", csr(&[])),
        ("signature", broken),
        ("garbage", vec![1, 2, 3]),
        ("nothing", Vec::new()),
        ("an account's key", csr_with(&account, &["a.example.test", "b.example.test"])),
    ] {
        expect(&client.finalize(&order, &request).await, StatusCode::BAD_REQUEST, "badCSR", what);
        assert_eq!(client.read(&order).await.json()["status"], "ready", "A-065: {what}");
    }
    for payload in [json!({}), json!({"csr": 7}), json!({"csr": "a b"}), json!({"csr": "YQ=="})] {
        let answer = client.post(&format!("{order}/finalize"), payload).await;
        expect(&answer, StatusCode::BAD_REQUEST, "malformed", "payload");
    }
    let answer = client.finalize(&order, &csr_with(&fresh_key(), &["b.example.test", "a.example.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_or_uses_what_another_account_has() {
    let world = World::new().await;
    let (owner, other) = (Client::new(&world).await, Client::new(&world).await);
    let certificate = owner.issue(&world, &["a.example.test"]).await;
    let order = owner.ready_order(&world, &["b.example.test"]).await;
    let authorization = owner.read(&order).await.json()["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = owner.read(&authorization).await.json()["challenges"][0]["url"].as_str().unwrap().to_owned();
    let orders = format!("{}/orders", owner.kid);
    for url in [&certificate, &order, &authorization, &challenge, &owner.kid, &orders] {
        expect(&other.read(url).await, StatusCode::FORBIDDEN, "unauthorized", url);
    }
    expect(&other.post(&challenge, json!({})).await, StatusCode::FORBIDDEN, "unauthorized", "challenge");
    let request = csr(&["b.example.test"]);
    expect(&other.finalize(&order, &request).await, StatusCode::FORBIDDEN, "unauthorized", "finalize");
    let deactivate = json!({"status": "deactivated"});
    expect(&other.post(&authorization, deactivate.clone()).await, StatusCode::FORBIDDEN, "unauthorized", "authz");
    expect(&other.post(&owner.kid, deactivate).await, StatusCode::FORBIDDEN, "unauthorized", "account");
    for url in
        ["/acme/order/none", "/acme/authorization/none", "/acme/challenge/none/http-01", "/acme/certificate/none"]
    {
        expect(&owner.read(url).await, StatusCode::NOT_FOUND, "malformed", url);
    }
    //
    for url in [&certificate, &order, &orders] {
        expect(&owner.post(url, json!({})).await, StatusCode::BAD_REQUEST, "malformed", url);
    }
    let list = owner.read(&orders).await.json();
    assert_eq!(list["orders"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_served_in_the_one_format_there_is() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let url = client.issue(&world, &["a.example.test"]).await;
    let path = url.strip_prefix(BASE).unwrap();
    for (accept, status) in [
        ("application/pem-certificate-chain", StatusCode::OK),
        ("text/html, */*;q=0.1", StatusCode::OK),
        ("application/pkix-cert", StatusCode::NOT_ACCEPTABLE),
    ] {
        let jws = client.sign(&client.header(path).await, "");
        let request = http::Request::post(path)
            .header("content-type", "application/jose+json")
            .header("accept", accept)
            .body(axum::body::Body::from(jws.to_string()));
        let response = tower::ServiceExt::oneshot(client.router.clone(), request.unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{accept}");
    }
}

#[tokio::test]
async fn challenge_payloads_are_objects_whose_members_do_not_matter() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await;
    let authorization = client.read(order.json()["authorizations"][0].as_str().unwrap()).await;
    assert_eq!(authorization.header("retry-after"), "1");
    assert!(authorization.json().get("wildcard").is_none());
    let challenge = authorization.json()["challenges"][0].clone();
    assert!(challenge["token"].as_str().unwrap().len() >= 22);
    let url = challenge["url"].as_str().unwrap();
    for payload in ["[]", "7", "{", "\"\""] {
        expect(&client.post_text(url, payload).await, StatusCode::BAD_REQUEST, "malformed", payload);
    }
    assert_eq!(client.read(url).await.json()["status"], "pending");
    let answer = client.post(url, json!({"keyAuthorization": "x"})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("processing")), "{answer:?}");
    let links: Vec<_> = answer.headers.get_all("link").iter().collect();
    assert!(links.iter().any(|link| link.to_str().unwrap().ends_with(";rel=\"up\"")), "{links:?}");
}
