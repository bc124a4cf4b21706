//! A small ACME client that can also misbehave.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::service::acme::testing::{BASE, World};

pub(super) struct Client {
    pub(super) router: Router,
    pub(super) key: EcdsaKeyPair,
    pub(super) kid: String,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The ACME error, without its prefix.
    pub(super) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", String::from_utf8_lossy(&self.body));
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.strip_prefix("urn:ietf:params:acme:error:").unwrap().to_owned()
    }
}

impl Client {
    /// A client with a key and no account.
    pub(super) fn stranger(world: &World) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { router: crate::api::acme::router(world.acme.clone()), key, kid: String::new() }
    }

    /// A client with an account.
    pub(super) async fn new(world: &World) -> Self {
        let mut client = Self::stranger(world);
        let answer = client.register(json!({})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        client.kid = answer.header("location").to_owned();
        client
    }

    pub(super) async fn register(&self, payload: Value) -> Answer {
        let mut header = self.header("/acme/new-account").await;
        header["jwk"] = self.jwk();
        header.as_object_mut().unwrap().remove("kid");
        self.send("/acme/new-account", &self.sign(&header, &payload.to_string())).await
    }

    pub(super) fn jwk(&self) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
    }

    pub(super) fn key_authorization(&self, token: &str) -> String {
        let jwk = serde_json::from_value::<crate::service::acme::key::AccountKey>(self.jwk()).unwrap();
        format!("{token}.{}", jwk.thumbprint())
    }

    /// The protected header of a request to `path`, with a fresh nonce.
    pub(super) async fn header(&self, path: &str) -> Value {
        json!({"alg": "ES256", "kid": self.kid, "nonce": self.nonce().await, "url": format!("{BASE}{path}")})
    }

    pub(super) async fn nonce(&self) -> String {
        let answer = self.plain("HEAD", "/acme/new-nonce").await;
        answer.header("replay-nonce").to_owned()
    }

    /// A flattened JWS. `payload` is JSON, or nothing for a POST-as-GET.
    pub(super) fn sign(&self, header: &Value, payload: &str) -> Value {
        let (protected, payload) = (encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes()).unwrap();
        json!({"protected": protected, "payload": payload, "signature": encode(signature.as_ref())})
    }

    pub(super) async fn post(&self, path: &str, payload: Value) -> Answer {
        self.post_text(path, &payload.to_string()).await
    }

    /// POST-as-GET
    pub(super) async fn read(&self, path: &str) -> Answer {
        self.post_text(path, "").await
    }

    /// POST-as-GET for a media type.
    pub(super) async fn read_accepting(&self, path: &str, accept: &str) -> Answer {
        let body = self.sign(&self.header(path).await, "").to_string();
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("content-type", "application/jose+json")
            .header("accept", accept)
            .body(Body::from(body));
        self.answer(request.unwrap()).await
    }

    pub(super) async fn post_text(&self, path: &str, payload: &str) -> Answer {
        let path = path.strip_prefix(BASE).unwrap_or(path);
        let header = self.header(path).await;
        self.send(path, &self.sign(&header, payload)).await
    }

    pub(super) async fn send(&self, path: &str, jws: &Value) -> Answer {
        self.send_as("POST", path, "application/jose+json", jws.to_string().into_bytes()).await
    }

    pub(super) async fn plain(&self, method: &str, path: &str) -> Answer {
        self.send_as(method, path, "application/jose+json", Vec::new()).await
    }

    pub(super) async fn send_as(&self, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        let path = path.strip_prefix(BASE).unwrap_or(path);
        let request =
            Request::builder().method(method).uri(path).header("content-type", media_type).body(Body::from(body));
        self.answer(request.unwrap()).await
    }

    pub(super) async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Orders `names` and shows control of each; gives the URL of the order, which is ready.
    pub(super) async fn ready_order(&self, world: &World, names: &[&str]) -> String {
        let order = self.order(names).await;
        assert_eq!(order.status, StatusCode::CREATED, "{order:?}");
        for url in order.json()["authorizations"].as_array().unwrap() {
            self.authorize(world, url.as_str().unwrap()).await;
        }
        order.header("location").to_owned()
    }

    pub(super) async fn order(&self, names: &[&str]) -> Answer {
        let identifiers: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        self.post("/acme/new-order", json!({"identifiers": identifiers})).await
    }

    /// Answers the challenge of an authorization, and waits until it is valid.
    pub(super) async fn authorize(&self, world: &World, url: &str) {
        let challenge = self.http01(url).await;
        let token = challenge["token"].as_str().unwrap();
        world.web.put(&format!("/.well-known/acme-challenge/{token}"), &self.key_authorization(token));
        self.post(challenge["url"].as_str().unwrap(), json!({})).await;
        assert_eq!(self.settled(url).await["status"], "valid");
    }

    /// The challenge http-01 of an authorization.
    pub(super) async fn http01(&self, url: &str) -> Value {
        let challenges = self.read(url).await.json()["challenges"].as_array().unwrap().clone();
        challenges.into_iter().find(|challenge| challenge["type"] == "http-01").unwrap()
    }

    /// The authorization once it is no longer pending.
    pub(super) async fn settled(&self, url: &str) -> Value {
        for _ in 0..1000 {
            let authorization = self.read(url).await.json();
            if authorization["status"] != "pending" {
                return authorization;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{url} stays pending");
    }

    /// Issues a certificate; gives its URL.
    pub(super) async fn issue(&self, world: &World, names: &[&str]) -> String {
        let order = self.ready_order(world, names).await;
        let answer = self.finalize(&order, &crate::service::acme::testing::csr(names)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let mut shown = answer.json();
        while shown["status"] == "processing" {
            shown = self.read(&order).await.json();
        }
        shown["certificate"].as_str().unwrap().to_owned()
    }

    pub(super) async fn finalize(&self, order: &str, csr: &[u8]) -> Answer {
        self.post(&format!("{order}/finalize"), json!({"csr": encode(csr)})).await
    }

    /// The DER of a certificate.
    pub(super) async fn certificate(&self, url: &str) -> Vec<u8> {
        let answer = self.read(url).await;
        assert_eq!(answer.header("content-type"), "application/pem-certificate-chain");
        let pem = String::from_utf8(answer.body).unwrap();
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
