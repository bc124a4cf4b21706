//! Authentication of requests (RFC 8555 sections 6.2 to 6.5): what a handler receives is signed,
//! meant for its URL, and fresh.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::jws::{self, Jws, Signer};
use super::urls;
use crate::service::RequestId;
use crate::service::acme::Acme;
use crate::service::acme::accounts::Account;
use crate::service::acme::error::AcmeError;
use crate::service::acme::key::AccountKey;
use crate::service::peer::Peer;

/// A request signed by an account that can be used, and whose owner agreed to the terms of service.
pub(super) struct ByAccount {
    pub(super) account: Account,
    pub(super) from: Option<IpAddr>,
    pub(super) payload: Payload,
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) request: RequestId,
}

/// A request signed by an account that can be used, by which its owner acts on the account itself:
/// he need not have agreed to changed terms of service.
pub(super) struct ByOwner(pub(super) ByAccount);

/// A request signed by the holder of a key, whoever that is: newAccount.
pub(super) struct ByKey {
    pub(super) from: Option<IpAddr>,
    pub(super) key: AccountKey,
    pub(super) payload: Payload,
}

/// A request signed by either: revokeCert.
pub(super) enum ByEither {
    Account(ByAccount),
    Key(ByKey, RequestId),
}

/// What was signed.
pub(super) struct Payload(Vec<u8>);

impl Payload {
    /// Octets that were signed.
    pub(super) fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// As it was sent.
    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The JSON object that it is. Members that are not known are ignored.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        if self.0.first() != Some(&b'{') && !self.0.trim_ascii_start().starts_with(b"{") {
            return Err(AcmeError::Malformed("the payload must be a JSON object".into()));
        }
        jws::json(&self.0).map_err(|error| AcmeError::Malformed(format!("the payload cannot be read: {error}")))
    }

    /// Refuses anything but a POST-as-GET (RFC 8555 section 6.3).
    pub(super) fn empty(&self) -> Result<(), AcmeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(AcmeError::Malformed("this resource is read with a POST-as-GET: send an empty payload".into()))
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromRequest<Arc<Acme>> for ByAccount {
    type Rejection = AcmeError;

    async fn from_request(request: Request, acme: &Arc<Acme>) -> Result<Self, AcmeError> {
        let ByOwner(by) = ByOwner::from_request(request, acme).await?;
        acme.bound_by_terms(&by.account)?;
        Ok(by)
    }
}

impl FromRequest<Arc<Acme>> for ByOwner {
    type Rejection = AcmeError;

    async fn from_request(request: Request, acme: &Arc<Acme>) -> Result<Self, AcmeError> {
        match ByEither::from_request(request, acme).await? {
            ByEither::Account(by) => Ok(Self(by)),
            ByEither::Key(..) => {
                Err(AcmeError::Malformed("sign this request as an account: send `kid`, not `jwk`".into()))
            }
        }
    }
}

impl FromRequest<Arc<Acme>> for ByKey {
    type Rejection = AcmeError;

    async fn from_request(request: Request, acme: &Arc<Acme>) -> Result<Self, AcmeError> {
        match ByEither::from_request(request, acme).await? {
            ByEither::Key(by, _) => Ok(by),
            ByEither::Account(_) => Err(AcmeError::Malformed("sign this request with `jwk`, not `kid`".into())),
        }
    }
}

impl FromRequest<Arc<Acme>> for ByEither {
    type Rejection = AcmeError;

    async fn from_request(request: Request, acme: &Arc<Acme>) -> Result<Self, AcmeError> {
        let id = request.extensions().get::<RequestId>().cloned();
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let from = peer.as_ref().and_then(|peer| peer.address());
        let (jws, id) =
            (fresh(request, acme).await?, id.map_or_else(|| RequestId::generate(&acme.services().random), Ok)?);
        match &jws.signer {
            Signer::Jwk(key) => {
                // A key that is none verifies nothing: then that is what is wrong.
                jws.verify(key).map_err(|error| key.check().err().map_or(error, AcmeError::from))?;
                Ok(Self::Key(ByKey { from, key: key.clone(), payload: Payload(jws.payload) }, id))
            }
            Signer::Kid(kid) => {
                let unknown = AcmeError::AccountDoesNotExist("no account has this URL");
                let account = match urls::account_id(&acme.services().public_url, kid) {
                    Some(id) => acme.account(id)?.ok_or(unknown)?,
                    None => return Err(unknown),
                };
                jws.verify(&account.record.key)?;
                let account = Acme::usable(account)?;
                Ok(Self::Account(ByAccount { account, from, payload: Payload(jws.payload), peer, request: id }))
            }
        }
    }
}

/// A JWS for this URL with a nonce that was good. Its signature is not verified yet: an attacker
/// who has a nonce may burn it.
async fn fresh(request: Request, acme: &Acme) -> Result<Jws, AcmeError> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/jose+json") {
        return Err(AcmeError::UnsupportedMediaType);
    }
    let expected = urls::absolute(&acme.services().public_url, request.uri());
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        http::StatusCode::PAYLOAD_TOO_LARGE => AcmeError::TooLarge,
        _ => AcmeError::Malformed("the body could not be read to its end".into()),
    })?;
    let jws = jws::parse(&body)?;
    if jws.url != expected {
        let url: String = jws.url.chars().take(256).collect();
        return Err(AcmeError::Unauthorized(format!(
            "the request was signed for {url}, but sent to {expected}: take URLs from the directory and from answers"
        )));
    }
    let nonce = jws.nonce.as_deref();
    let nonce = nonce.ok_or_else(|| AcmeError::BadNonce("the JWS protected header lacks `nonce`".into()))?;
    acme.take_nonce(nonce).await?;
    Ok(jws)
}
