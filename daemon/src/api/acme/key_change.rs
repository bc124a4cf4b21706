//! Rollover of account keys (RFC 8555 section 7.3.5).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, LOCATION};
use serde::Deserialize;

use super::jws::{self, Signer};
use super::request::ByOwner;
use super::{account, urls};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::acme::key::AccountKey;

/// What the new key signs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyChange {
    account: String,
    old_key: AccountKey,
}

pub(super) async fn change(State(acme): State<Arc<Acme>>, ByOwner(by): ByOwner) -> Result<Response, AcmeError> {
    let malformed = |why: &str| AcmeError::Malformed(format!("the key change {why}"));
    let base = &acme.services().public_url;
    let inner = jws::parse(by.payload.octets())?;
    let Signer::Jwk(new) = &inner.signer else {
        return Err(malformed("must be signed by the new key: send it as `jwk`"));
    };
    inner.verify(new).map_err(|error| new.check().err().map_or(error, AcmeError::from))?;
    if inner.nonce.is_some() {
        return Err(malformed("has a `nonce`: leave it out"));
    }
    if inner.url != format!("{base}{}", urls::KEY_CHANGE) {
        return Err(malformed("must have the `url` of the request that it stands in"));
    }
    let wish: KeyChange = serde_json::from_slice(&inner.payload)
        .map_err(|error| malformed(&format!("must name `account` and `oldKey`: {error}")))?;
    if !urls::account_id(base, &wish.account).is_some_and(|id| by.account.is_called(id)) {
        return Err(malformed("is for another account than the one that sends it"));
    }
    if wish.old_key != by.account.record.key {
        return Err(malformed("has an `oldKey` that is not the account's key"));
    }
    match acme.change_key(by.account, new.clone()).await {
        Ok(account) => Ok(account::view(&acme, &account)),
        Err(AcmeError::KeyInUse(id)) => {
            let location = HeaderValue::try_from(urls::account(base, &id));
            let mut response = AcmeError::KeyInUse(id).into_response();
            response.headers_mut().extend(location.ok().map(|location| (LOCATION, location)));
            Ok(response)
        }
        Err(error) => Err(error),
    }
}
