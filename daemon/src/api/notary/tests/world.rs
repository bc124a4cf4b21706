//! A CA that speaks the Notary dialect, and those who ask it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use hsm::wire::SealStatus;
use http::{HeaderMap, Method, Request, StatusCode};
use policy::profile::Profile;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::service::acme::testing;
use crate::service::peer::Peer;
use crate::service::{RequestId, Services};

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
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What both generations find in a success of this status.
    #[track_caller]
    pub(super) fn data(&self, status: u16) -> Value {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(body["result"], body["data"], "{self:?}");
        body["data"].clone()
    }

    /// The number of what was made.
    #[track_caller]
    pub(super) fn created(&self) -> u64 {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["result"]["message"]), (201, &json!("success")), "{self:?}");
        assert_eq!(body["result"]["id"], body["data"]["id"], "{self:?}");
        body["data"]["id"].as_u64().unwrap_or_else(|| panic!("no number: {self:?}"))
    }

    /// That something was done.
    #[track_caller]
    pub(super) fn done(&self, status: u16) {
        let expected = json!({"result": {"message": "success"}, "message": "success"});
        assert_eq!((self.status.as_u16(), self.json()), (status, expected), "{self:?}");
    }

    /// That this is an error, in the words of the newer and the older generation.
    #[track_caller]
    pub(super) fn is_error(&self, status: u16, newer: &str, older: &str) {
        let expected = json!({"error": older, "message": newer});
        assert_eq!((self.status.as_u16(), self.json()), (status, expected), "{self:?}");
    }

    #[track_caller]
    pub(super) fn is_missing(&self) {
        self.is_error(404, "not found", "Not Found");
    }

    #[track_caller]
    pub(super) fn is_unauthorized(&self) {
        self.is_error(401, "unauthorized", "Unauthorized");
    }

    #[track_caller]
    pub(super) fn is_forbidden(&self) {
        self.is_error(403, "forbidden: insufficient permissions", "Forbidden: insufficient permissions");
    }
}

impl World {
    pub(super) async fn new() -> Self {
        let inner = testing::World::new().await.reassemble(|services| {
            let file = include_str!("../../../../../packaging/profiles/node.toml");
            let node = Profile::from_toml("node.toml", file).unwrap();
            services.profiles.replace(crate::current::Profiles::from([("node".to_owned(), Arc::new(node))]));
        });
        let inner = inner.await;
        Self { router: crate::api::notary::routes(Arc::clone(&inner.services)).into_router(), inner }
    }

    /// With an administrator, and his session.
    pub(super) async fn administered() -> (Self, String) {
        let world = Self::new().await;
        let session = world.first().await;
        (world, session)
    }

    /// Makes the first account; its session.
    pub(super) async fn first(&self) -> String {
        let body = json!({"email": ADMIN, "password": PASSWORD});
        assert_eq!(self.ask("", Method::POST, "/api/v1/accounts", Some(body)).await.created(), 1);
        self.login(ADMIN).await
    }

    pub(super) fn services(&self) -> &Services {
        &self.inner.services
    }

    pub(super) fn seal_is(&self, seal: SealStatus) {
        self.inner.signer.inner().seal = seal;
    }

    /// Entries of the journal that hold this text.
    pub(super) fn journalled(&self, text: &str) -> usize {
        self.inner.signer.inner().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// A session of an account with the usual password.
    pub(super) async fn login(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.ask("", Method::POST, "/login", Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["result"]["token"].as_str().unwrap().to_owned()
    }

    /// An account of this role, and its session.
    pub(super) async fn account(&self, administrator: &str, email: &str, role: u8) -> (u64, String) {
        let body = json!({"email": email, "password": PASSWORD, "role_id": role});
        let id = self.ask(administrator, Method::POST, "/api/v1/accounts", Some(body)).await.created();
        (id, self.login(email).await)
    }

    /// A request with a session, unless that is empty.
    pub(super) async fn ask(&self, session: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {session}");
        let headers: &[(&str, &str)] = if session.is_empty() { &[] } else { &[("authorization", &bearer)] };
        self.send(method, path, headers, body.map_or(Vec::new(), |body| body.to_string().into_bytes())).await
    }

    pub(super) async fn get(&self, session: &str, path: &str) -> Answer {
        self.ask(session, Method::GET, path, None).await
    }

    pub(super) async fn post(&self, session: &str, path: &str, body: Value) -> Answer {
        self.ask(session, Method::POST, path, Some(body)).await
    }

    pub(super) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let peer = Peer { from: "192.0.2.1:4711".to_owned(), certificate: None };
        let id = RequestId::generate(&self.services().random).unwrap();
        let mut request = Request::builder().method(method).uri(path).extension(Arc::new(peer)).extension(id);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

pub(super) const ADMIN: &str = "admin@example.com";
pub(super) const PASSWORD: &str = "Correct-horse1";
