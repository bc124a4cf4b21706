//! Routes that say who may take them. A router is made from its table, so there is no route without a
//! permission, and the table is what a golden file, the tests and the API's description are made from.

mod described;
mod openapi;
mod operation;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, StatusCode};

pub use described::Described;
pub use openapi::{Api, Scheme};
pub use operation::{Answer, Argument, Content, Fault, FaultBody, Operation};

use super::access::{Asks, Permitted, PermittedOwn, Refused, Serves};
use crate::service::Services;
use crate::service::rights::{Permission, Scope};

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// Path, with its parameters in braces.
    pub path: String,
    /// What the caller must be permitted.
    pub permission: Permission,
    /// To which objects at least.
    pub scope: Scope,
    /// Whether it needs the CA's key: while that cannot be used, the answer is 503, whoever asks.
    pub key: Key,
    /// What it is for, takes and answers, where that is described.
    pub operation: Option<Operation>,
}

/// Whether a route needs the CA's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It does.
    Needed,
    /// It does not.
    NotNeeded,
}

/// The routes of a surface, and their table.
pub struct Routes<S> {
    router: Router<S>,
    table: Vec<Route>,
    state: S,
    /// Whether guarded routes need the CA's key unless they say otherwise.
    key: Key,
}

/// The arguments of a handler that asks a permission first.
pub trait Guarded {
    /// Which.
    const PERMISSION: Permission;
    /// To which objects at least.
    const SCOPE: Scope;
}

macro_rules! guarded {
    ($($rest:ident)*) => {
        impl<Via, A: Asks, $($rest),*> Guarded for (Via, Permitted<A>, $($rest,)*) {
            const PERMISSION: Permission = A::PERMISSION;
            const SCOPE: Scope = Scope::Everything;
        }

        impl<Via, A: Asks, $($rest),*> Guarded for (Via, PermittedOwn<A>, $($rest,)*) {
            const PERMISSION: Permission = A::PERMISSION;
            const SCOPE: Scope = Scope::Own;
        }
    };
}

guarded!();
guarded!(T2);
guarded!(T2 T3);
guarded!(T2 T3 T4);
guarded!(T2 T3 T4 T5);
guarded!(T2 T3 T4 T5 T6);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    pub fn new(state: S) -> Self {
        Self { router: Router::new(), table: Vec::new(), state, key: Key::NotNeeded }
    }

    /// A route whose handler is told nothing of who asks: whoever proves himself otherwise (a JWS), or
    /// nobody in particular, for [`Permission::ReadPublic`].
    pub fn unguarded(
        mut self,
        methods: &[Method],
        path: &str,
        permission: Permission,
        handlers: MethodRouter<S>,
    ) -> Self {
        self.router = self.router.route(path, handlers);
        let scope = if permission == Permission::ReadPublic { Scope::Everything } else { Scope::Own };
        for method in methods {
            let (method, path) = (method.clone(), path.to_owned());
            self.table.push(Route { method, path, permission, scope, key: Key::NotNeeded, operation: None });
        }
        self
    }

    /// Adds the routes of another table of this surface.
    pub fn merge<T: Clone + Send + Sync + 'static>(mut self, other: Routes<T>) -> Self {
        self.router = self.router.merge(other.router.with_state(other.state));
        self.table.extend(other.table);
        self
    }

    /// From here on every guarded route needs the CA's key.
    pub fn with_key(mut self) -> Self {
        self.key = Key::Needed;
        self
    }

    /// Changes the router as a whole: what stands around every handler.
    pub fn around(mut self, change: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = change(self.router);
        self
    }

    /// The table, in the order in which the routes were added.
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    /// The router.
    pub fn into_router(self) -> Router {
        self.router.with_state(self.state)
    }
}

impl<S: Serves + Clone + 'static> Routes<S> {
    /// `GET`
    pub fn get<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        let key = self.key;
        self.guarded::<T>(Method::GET, path, on(MethodFilter::GET, handler), key)
    }

    /// `GET` of something that needs the CA's key.
    pub fn get_with_key<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        self.guarded::<T>(Method::GET, path, on(MethodFilter::GET, handler), Key::Needed)
    }

    /// `POST`
    pub fn post<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        let key = self.key;
        self.guarded::<T>(Method::POST, path, on(MethodFilter::POST, handler), key)
    }

    /// `POST` of something that needs the CA's key.
    pub fn post_with_key<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        self.guarded::<T>(Method::POST, path, on(MethodFilter::POST, handler), Key::Needed)
    }

    /// `PUT`
    pub fn put<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        let key = self.key;
        self.guarded::<T>(Method::PUT, path, on(MethodFilter::PUT, handler), key)
    }

    /// `DELETE`
    pub fn delete<T: Guarded + 'static>(self, path: &str, handler: impl Handler<T, S>) -> Self {
        let key = self.key;
        self.guarded::<T>(Method::DELETE, path, on(MethodFilter::DELETE, handler), key)
    }

    fn guarded<T: Guarded>(mut self, method: Method, path: &str, handlers: MethodRouter<S>, key: Key) -> Self {
        let handlers = match key {
            Key::NotNeeded => handlers,
            Key::Needed => handlers.layer(from_fn_with_state(self.state.clone(), key_first::<S>)),
        };
        self.router = self.router.route(path, handlers);
        let (path, permission, scope) = (path.to_owned(), T::PERMISSION, T::SCOPE);
        self.table.push(Route { method, path, permission, scope, key, operation: None });
        self
    }
}

/// Decided before authentication: nothing could come of the request.
async fn key_first<S: Serves + Clone>(State(state): State<S>, request: Request, next: Next) -> Response {
    match state.services().key_usable() {
        Ok(()) => next.run(request).await,
        Err(why) => {
            let refused = Refused { status: StatusCode::SERVICE_UNAVAILABLE, why: why.to_string() };
            S::Refusal::from(refused).into_response()
        }
    }
}

/// What a surface without anything to guard is made from.
pub type Public = Routes<Arc<Services>>;
