//! No body before permission, on every surface.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;

use crate::problem::Problem;
use crate::service::acme::Acme;
use crate::service::rights::{self, Caller, Denied, Permission};
use crate::service::{RequestId, Services, peer::Peer};

/// A request whose sender may do what `A` names to everything there is. A handler takes it as its
/// first argument, so the question is asked before anything else of the request is read.
pub struct Permitted<A> {
    permitted: rights::Permitted,
    asked: PhantomData<A>,
}

/// A request whose sender may do what `A` names to what is his own at least. The use case behind it
/// keeps to the scope.
pub struct PermittedOwn<A> {
    permitted: rights::Permitted,
    asked: PhantomData<A>,
}

impl<A> Deref for Permitted<A> {
    type Target = rights::Permitted;

    fn deref(&self) -> &rights::Permitted {
        &self.permitted
    }
}

impl<A> Deref for PermittedOwn<A> {
    type Target = rights::Permitted;

    fn deref(&self) -> &rights::Permitted {
        &self.permitted
    }
}

/// Names a permission in the signature of a handler.
pub trait Asks {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! asks {
    ($($name:ident)*) => {$(
        #[doc = concat!("Asks for [`Permission::", stringify!($name), "`].")]
        pub struct $name;
        impl Asks for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

asks!(ActivateCa Approve Certify DryRun EnrolAdministrator ListCertificates ManageAcme ManageAdministrators
    ManageAuthorities ManageLimits ManageNodes ManageTokens ReadAcme ReadAdministrators ReadConfig ReadEvents ReadLimits ReadNodes ReadProfiles
    ReadPublic ReadRequests ReadStatus ReadTokens RenewOwn Revoke Seal SubmitRequest Unseal);

/// A router's state, as far as the question who may do what needs it.
pub trait Serves: Send + Sync {
    /// What the surface says to whoever may not.
    type Refusal: From<Refused> + IntoResponse;

    /// What the daemon serves.
    fn services(&self) -> &Services;
}

/// That a request gets no further: a status, 401, 403, 500 or 503, and a sentence.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status.
    pub status: StatusCode,
    /// Why, in one sentence.
    pub why: String,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused.status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(refused.why),
            status => Self::plain(status, refused.why),
        }
    }
}

impl Serves for Arc<Services> {
    type Refusal = Problem;

    fn services(&self) -> &Services {
        self
    }
}

impl Serves for Arc<Acme> {
    type Refusal = Problem;

    fn services(&self) -> &Services {
        Acme::services(self)
    }
}

impl<A: Asks, S: Serves> FromRequestParts<S> for Permitted<A> {
    type Rejection = S::Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, S::Refusal> {
        let permitted = ask(parts, |caller, id| state.services().permit(caller, id, A::PERMISSION))?;
        Ok(Self { permitted, asked: PhantomData })
    }
}

impl<A: Asks, S: Serves> FromRequestParts<S> for PermittedOwn<A> {
    type Rejection = S::Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, S::Refusal> {
        let permitted = ask(parts, |caller, id| state.services().permit_own(caller, id, A::PERMISSION))?;
        Ok(Self { permitted, asked: PhantomData })
    }
}

fn ask(
    parts: &Parts,
    may: impl FnOnce(Caller<'_>, &RequestId) -> Result<rights::Permitted, Denied>,
) -> Result<rights::Permitted, Refused> {
    let internal = || Refused { status: StatusCode::INTERNAL_SERVER_ERROR, why: String::new() };
    let peer = parts.extensions.get::<Arc<Peer>>().ok_or_else(internal)?;
    let id = parts.extensions.get::<RequestId>().ok_or_else(internal)?;
    // A browser shows an administrator's certificate to whatever page sends a form here, and says from
    // where it came. No page of ours does.
    if !parts.method.is_safe() && parts.headers.contains_key(ORIGIN) {
        let why = "web pages may not act here: use `signetctl`".to_owned();
        return Err(Refused { status: StatusCode::FORBIDDEN, why });
    }
    may(Caller { peer, bearer: bearer(parts) }, id).map_err(|denied| refusal(&denied))
}

/// What follows `Bearer`, if the header Authorization is there. Credentials of another scheme are a
/// token that nobody has.
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
        _ => Some(""),
    }
}

fn refusal(denied: &Denied) -> Refused {
    let status = match denied {
        Denied::Anonymous | Denied::Token(_) => StatusCode::UNAUTHORIZED,
        Denied::Expired | Denied::Forbidden { .. } | Denied::Removed | Denied::Revoked | Denied::Unknown => {
            StatusCode::FORBIDDEN
        }
        Denied::Store(error) => {
            tracing::error!(%error, "the store failed while it was asked who somebody is");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    tracing::warn!(%denied, "refused");
    Refused { status, why: denied.to_string() }
}
