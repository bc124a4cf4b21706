//! No body before permission.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::ORIGIN;
use http::request::Parts;

use crate::problem::Problem;
use crate::service::acme::Acme;
use crate::service::administrators::{Denied, Peer, Permission};
use crate::service::{RequestId, Services, administrators};

/// A request whose sender may do what `A` names. A handler takes it as its first argument, so the
/// question is asked before anything else of the request is read.
pub(super) struct Permitted<A> {
    permitted: administrators::Permitted,
    asked: PhantomData<A>,
}

impl<A> Deref for Permitted<A> {
    type Target = administrators::Permitted;

    fn deref(&self) -> &administrators::Permitted {
        &self.permitted
    }
}

/// Names a permission in the signature of a handler.
pub(super) trait Asks {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! asks {
    ($($name:ident)*) => {$(
        pub(super) struct $name;
        impl Asks for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

asks!(ActivateCa ListCertificates ManageAcme ManageAdministrators ManageLimits ReadLimits ReadProfiles ReadPublic ReadStatus Revoke Seal Unseal);

/// A router's state, as far as the question who may do what needs it.
pub(super) trait Serves: Send + Sync {
    /// What the daemon serves.
    fn services(&self) -> &Services;
}

impl Serves for Arc<Services> {
    fn services(&self) -> &Services {
        self
    }
}

impl Serves for Arc<Acme> {
    fn services(&self) -> &Services {
        Acme::services(self)
    }
}

impl<A: Asks, S: Serves> FromRequestParts<S> for Permitted<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Arc<Peer>>().ok_or_else(Problem::internal)?;
        let id = parts.extensions.get::<RequestId>().ok_or_else(Problem::internal)?;
        // A browser shows an administrator's certificate to whatever page sends a form here, and
        // says from where it came. No page of ours does.
        if !parts.method.is_safe() && parts.headers.contains_key(ORIGIN) {
            return Err(Problem::plain(StatusCode::FORBIDDEN, "web pages may not act here: use `signetctl`"));
        }
        match state.services().permit(peer, id, A::PERMISSION) {
            Ok(permitted) => Ok(Self { permitted, asked: PhantomData }),
            Err(denied) => Err(refusal(&denied)),
        }
    }
}

fn refusal(denied: &Denied) -> Problem {
    let status = match denied {
        Denied::Anonymous => StatusCode::UNAUTHORIZED,
        Denied::Expired | Denied::Forbidden | Denied::Removed | Denied::Revoked | Denied::Unknown => {
            StatusCode::FORBIDDEN
        }
        Denied::Store(error) => {
            tracing::error!(%error, "the store failed while an administrator was looked up");
            return Problem::internal();
        }
    };
    tracing::warn!(%denied, "refused");
    Problem::plain(status, denied.to_string())
}
