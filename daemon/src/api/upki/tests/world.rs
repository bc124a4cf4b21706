//! A CA that speaks uPKI, and those who ask it.

use std::sync::Arc;

use aws_lc_rs::signature::EcdsaKeyPair;
use axum::Router;
use axum::body::{Body, to_bytes};
use hsm::wire::SealStatus;
use http::{HeaderMap, Method, Request, StatusCode};
use policy::profile::Profile;
use policy::registration::{CommonName, Registration};
use policy::rights::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::service::acme::testing::{self, fresh_key};
use crate::service::peer::{Peer, PeerCertificate};
use crate::service::rights::Permitted;
use crate::service::{RequestId, Services};
use crate::store::Change;
use crate::store::tables::{ADMINISTRATORS, AdministratorRecord};

pub(super) struct World {
    pub(super) inner: testing::World,
    pub(super) router: Router,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// `data` of a success.
    pub(super) fn data(&self) -> Value {
        let body = self.json();
        assert_eq!((self.status, &body["status"]), (StatusCode::OK, &json!("success")), "{self:?}");
        body["data"].clone()
    }

    /// That this is an error of uPKI's form.
    #[track_caller]
    pub(super) fn is_error(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), &body["status"], &body["code"]),
            (status, &json!("error"), &json!(code)),
            "{self:?}"
        );
        body["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_owned()
    }

    /// That this is uPKI's one answer for what is not there.
    #[track_caller]
    pub(super) fn is_missing(&self) {
        let missing = json!({"status": "error", "message": "Not found"});
        assert_eq!((self.status, self.json()), (StatusCode::NOT_FOUND, missing), "{self:?}");
    }

    /// The digits of a JSON integer.
    #[track_caller]
    pub(super) fn integer(&self, field: &str) -> String {
        let rest = self.body.split_once(&format!("\"{field}\":")).unwrap_or_else(|| panic!("no {field}: {self:?}")).1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        assert!(!digits.is_empty(), "{field} is no integer: {self:?}");
        digits
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::adjusted(|_| {}).await
    }

    pub(super) async fn adjusted(adjust: impl FnOnce(&mut Services)) -> Self {
        let inner = testing::World::with(|acme| {
            acme.profiles = vec!["server".into(), "node".into()];
            acme.orders.upki_forms = crate::config::Switch::On;
        });
        let inner = inner.await.reassemble(|services| {
            services.profiles.replace(profiles());
            adjust(services);
        });
        let inner = inner.await;
        Self { router: crate::api::upki::routes(Arc::clone(&inner.services)).into_router(), inner }
    }

    pub(super) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(super) fn seal(&self) {
        self.inner.signer.inner().seal = SealStatus::Sealed;
    }

    /// A request without a body.
    pub(super) async fn ask(&self, peer: &Peer, method: Method, path: &str) -> Answer {
        self.send(peer, method, path, &[], Vec::new()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(&nobody(), Method::GET, path).await
    }

    pub(super) async fn post(&self, peer: &Peer, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(peer, Method::POST, path, &headers, body.to_string().into_bytes()).await
    }

    pub(super) async fn send(
        &self,
        peer: &Peer,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let id = RequestId::generate(&self.services().random).unwrap();
        let mut request = Request::builder().method(method).uri(path).extension(Arc::new(peer.clone())).extension(id);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// An enrolled administrator, whose certificate is of the profile `client`.
    pub(super) async fn administrator(&self, role: Role) -> Peer {
        let name = format!("Somebody who is {role}");
        let permitted = self.permitted();
        let registration = registration(&name, "client");
        self.services().register_node(&permitted, registration).await.unwrap();
        let (peer, _) = self.certified(&name, Some("user")).await;
        let record = AdministratorRecord { name, enrolled: self.services().clock.now(), role, removed: None };
        let mut change = Change::new();
        change.put(&ADMINISTRATORS, &peer.certificate.as_ref().unwrap().fingerprint, &record);
        self.services().store.commit(change).await.unwrap();
        peer
    }

    pub(super) fn permitted(&self) -> Permitted {
        Permitted::for_tests(self.services())
    }

    pub(super) async fn seed(&self, node: &str) -> String {
        let node = CommonName::parse(node).unwrap();
        let (_, seed) = self.services().issue_seed(&self.permitted(), &node, 3600).await.unwrap();
        seed.reveal().to_owned()
    }

    /// Registers a node.
    pub(super) async fn register(&self, node: &str) {
        self.services().register_node(&self.permitted(), registration(node, "node")).await.unwrap();
    }

    /// A certificate of a node that is registered: who shows it, and what the CA answered.
    pub(super) async fn certified(&self, node: &str, profile: Option<&str>) -> (Peer, Answer) {
        let seed = self.seed(node).await;
        let mut body = json!({"csr": csr(node), "seed": seed});
        if let Some(profile) = profile {
            body["profile"] = profile.into();
        }
        let answer = self.post(&nobody(), "/api/v1/certify", body).await;
        (holder(&answer.data()["certificate"]), answer)
    }
}

/// Nobody in particular.
pub(super) fn nobody() -> Peer {
    Peer { from: "192.0.2.1:4711".to_owned(), certificate: None }
}

/// Who shows a certificate, PEM.
pub(super) fn holder(pem: &Value) -> Peer {
    let (_, der) = der::pem::decode_vec(pem.as_str().unwrap().as_bytes()).unwrap();
    Peer { certificate: Some(PeerCertificate::read(&der).unwrap()), ..nobody() }
}

pub(super) fn registration(node: &str, profile: &str) -> Registration {
    Registration {
        common_name: CommonName::parse(node).unwrap(),
        names: Vec::new(),
        profile: profile.to_owned(),
        account: None,
    }
}

/// A CSR with a fresh key, PEM. A name that is a DNS name is in the alternative names too.
pub(super) fn csr(common_name: &str) -> String {
    csr_of(&fresh_key(), common_name)
}

pub(super) fn csr_of(key: &EcdsaKeyPair, common_name: &str) -> String {
    let names: &[&str] = if common_name.contains('.') { &[common_name] } else { &[] };
    csr_with(key, common_name, names)
}

pub(super) fn csr_with(key: &EcdsaKeyPair, common_name: &str, names: &[&str]) -> String {
    pem("CERTIFICATE REQUEST", &testing::csr_for(key, common_name, names))
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

fn profiles() -> crate::current::Profiles {
    let open = include_str!("../../../../../packaging/profiles/server.toml")
        .replace("methods = [", "methods = [\"unproven\", ");
    [
        ("client", include_str!("../../../../../packaging/profiles/client.toml").to_owned()),
        ("node", include_str!("../../../../../packaging/profiles/node.toml").to_owned()),
        ("open", open),
        ("server", include_str!("../../../../../packaging/profiles/server.toml").to_owned()),
    ]
    .map(|(name, text)| {
        (name.to_owned(), std::sync::Arc::new(Profile::from_toml(&format!("{name}.toml"), &text).unwrap()))
    })
    .into()
}
