//! A CA that speaks CertMaker, and those who ask it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hsm::wire::SealStatus;
use http::{HeaderMap, Method, Request, StatusCode};
use policy::grant::{Pattern, TokenGrant};
use policy::profile::Profile;
use policy::rights::{Permission, Scope, TokenRights};
use policy::tbs::Certificate;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::service::acme::testing;
use crate::service::certmaker::CertMaker;
use crate::service::peer::Peer;
use crate::service::rights::Permitted;
use crate::service::tokens::TokenState;
use crate::service::{RequestId, Services};

pub(super) struct World {
    pub(super) inner: testing::World,
    router: Router,
}

/// An account: the id of its token, and the token.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) token: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// That this is an error of CertMaker's form.
    #[track_caller]
    pub(super) fn is_error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{self:?}");
        body["error"].as_str().unwrap().to_owned()
    }

    /// The certificate of a 201.
    #[track_caller]
    pub(super) fn certificate(&self) -> Certificate {
        assert_eq!(self.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&self.body));
        let der = STANDARD.decode(self.json()["certificate_pem"].as_str().unwrap()).unwrap();
        Certificate::from_der(&der).unwrap()
    }

    /// The challenge of that type in a 202: id and token.
    #[track_caller]
    pub(super) fn challenge(&self, kind: &str) -> (String, String) {
        assert_eq!(self.status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&self.body));
        let body = self.json();
        let all = body["challenges"].as_array().unwrap();
        let one = all.iter().find(|one| one["challenge_type"] == kind).unwrap_or_else(|| panic!("{body}"));
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (text("challenge_id"), text("challenge_token"))
    }
}

/// The serial number of a certificate in decimal digits.
pub(super) fn decimal(certificate: &Certificate) -> String {
    policy::serial::Serial::from_slice(certificate.serial()).unwrap().to_decimal()
}

pub(super) const SIMPLE: &str = "/api/v1/certificate/request-with-simplerequest";
pub(super) const CSR: &str = "/api/v1/certificate/request-with-csr";
pub(super) const REVOKE: &str = "/api/v1/certificate/revoke";
pub(super) const ROOT: &str = "/api/v1/root-certificate/obtain";

impl World {
    pub(super) async fn new() -> Self {
        Self::adjusted(|_| {}).await
    }

    /// Without challenges, from a profile that takes that.
    pub(super) async fn unproven() -> Self {
        Self::adjusted(|services| services.certmaker.challenges.clear()).await
    }

    pub(super) async fn adjusted(adjust: impl FnOnce(&mut Services)) -> Self {
        let inner = testing::World::new().await.reassemble(|services| {
            let text = include_str!("../../../../../packaging/profiles/certmaker.toml");
            let text = text.replace("\"loopback\"]", "\"loopback\", \"unproven\"]");
            let profile = Profile::from_toml("certmaker.toml", &text).unwrap();
            services.profiles.replace(crate::current::Profiles::from([("certmaker".to_owned(), Arc::new(profile))]));
            adjust(services);
        });
        let inner = inner.await;
        let certmaker = CertMaker::new(Arc::clone(&inner.services), &inner.acme);
        Self { router: crate::api::certmaker::routes(certmaker).into_router(), inner }
    }

    pub(super) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(super) fn permitted(&self) -> Permitted {
        Permitted::for_tests(self.services())
    }

    pub(super) async fn seal(&self) {
        self.inner.signer.inner().seal = SealStatus::Sealed;
        let _ = self.services().ca.status().await;
    }

    /// An account that may do what CertMaker's accounts may, to what is its own.
    pub(super) async fn account(&self) -> Account {
        self.account_with(Scope::Own, &[Permission::OrderCertificate, Permission::Revoke], &[]).await
    }

    pub(super) async fn account_with(&self, scope: Scope, permissions: &[Permission], names: &[&str]) -> Account {
        let grant = TokenGrant {
            owner: "web team".to_owned(),
            rights: TokenRights { permissions: permissions.iter().copied().collect(), scope },
            names: names.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
            profiles: Vec::new(),
            expires: None,
        };
        let (token, secret) = self.services().create_token(&self.permitted(), grant).await.unwrap();
        Account { id: token.id, token: secret.reveal().to_owned() }
    }

    pub(super) async fn set(&self, account: &Account, state: TokenState) {
        self.services().set_token(&self.permitted(), &account.id, state).await.unwrap();
    }

    /// A request without a body.
    pub(super) async fn ask(&self, account: Option<&Account>, method: Method, path: &str) -> Answer {
        self.send(account, method, path, Vec::new()).await
    }

    pub(super) async fn post(&self, account: &Account, path: &str, body: Value) -> Answer {
        self.send(Some(account), Method::POST, path, body.to_string().into_bytes()).await
    }

    pub(super) async fn simple(&self, account: &Account, domains: &[&str], ips: &[&str]) -> Answer {
        self.post(account, SIMPLE, json!({"domains": domains, "ips": ips})).await
    }

    pub(super) async fn send(&self, account: Option<&Account>, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let id = RequestId::generate(&self.services().random).unwrap();
        let peer = Peer { from: "192.0.2.1:4711".to_owned(), certificate: None };
        let mut request = Request::builder().method(method).uri(path).extension(Arc::new(peer)).extension(id);
        if let Some(account) = account {
            request = request.header("X-Auth-Token", &account.token);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Serves a token as CertMaker's http-01 has it.
    pub(super) fn serve(&self, token: &str) {
        self.inner.web.put("/.well-known/certmaker-challenge/token", token);
    }

    pub(super) async fn solve(&self, account: &Account, kind: &str, id: &str) -> Answer {
        let method = if kind == "http-01" { Method::POST } else { Method::GET };
        self.ask(Some(account), method, &format!("/api/v1/{kind}/{id}/solve")).await
    }

    /// A certificate by http-01.
    pub(super) async fn certified(&self, account: &Account, name: &str) -> Certificate {
        let (id, token) = self.simple(account, &[name], &[]).await.challenge("http-01");
        self.serve(&token);
        self.solve(account, "http-01", &id).await.certificate()
    }

    /// How many certificates were signed.
    pub(super) fn signed(&self) -> usize {
        self.inner.signer.certificates().len()
    }
}
