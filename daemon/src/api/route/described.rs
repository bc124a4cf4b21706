//! Routes that say what they are for, and a surface that serves its own description.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::handler::Handler;
use axum::routing::get;
use http::Method;
use http::header::CONTENT_TYPE;
use policy::rights::Permission;

use super::operation::Told;
use super::{Api, Fault, FaultBody, Guarded, Key, Operation, Route, Routes, openapi};
use crate::api::access::Serves;
use crate::service::rights::Scope;

/// Routes of which each is described: what it is for in words, how it may fail, and the rest by the
/// signature of its handler.
pub struct Described<S>(Routes<S>);

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub fn $name<T: Guarded + 'static, H: Handler<T, S> + Told<T>>(
            self,
            path: &str,
            summary: &'static str,
            faults: &[Fault],
            handler: H,
        ) -> Self {
            let operation = H::operation(summary, faults, S::Refusal::CONTENT);
            Self(self.0.$name(path, handler)).tell(operation)
        }
    )*};
}

impl<S: Serves<Refusal: FaultBody> + Clone + 'static> Described<S> {
    /// No routes yet.
    pub fn new(state: S) -> Self {
        Self(Routes::new(state))
    }

    methods! {
        /// `GET`
        get
        /// `POST`
        post
        /// `POST` of something that needs the CA's key.
        post_with_key
        /// `PUT`
        put
        /// `DELETE`
        delete
    }

    fn tell(mut self, operation: Operation) -> Self {
        self.0.table.last_mut().expect("a route was added just now").operation = Some(operation);
        self
    }
}

impl<S> From<Described<S>> for Routes<S> {
    fn from(described: Described<S>) -> Self {
        described.0
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Serves the description of these routes, and of itself, at `path`. It says nothing that the source
    /// does not, and programs read it before anybody gave them a certificate, so it is for everybody.
    pub fn describe(mut self, path: &str, api: Api) -> Self {
        let operation = Some(openapi::itself(&api));
        let (permission, scope) = (Permission::ReadPublic, Scope::Everything);
        let (method, key) = (Method::GET, Key::NotNeeded);
        self.table.push(Route { method, path: path.to_owned(), permission, scope, key, operation });
        // Nobody may ever ask, so it is written when the first one does.
        let (table, written) = (Arc::new(self.table.clone()), Arc::<OnceLock<Bytes>>::default());
        let handler = async move || {
            let text = written.get_or_init(|| openapi::document(&api, &table).to_string().into());
            ([(CONTENT_TYPE, "application/json")], text.clone())
        };
        self.router = self.router.route(path, get(handler));
        self
    }
}
