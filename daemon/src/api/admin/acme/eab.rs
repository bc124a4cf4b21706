//! `/admin/v1/acme/eab`: external account keys (RFC 8555 section 7.3.4): list, show, create, revoke.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::grant::Grant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::New;
use super::super::body::Body;
use super::super::failure;
use super::super::path::Path;
use super::super::query::Query;
use super::accounts::Ended;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::acme::Acme;
use crate::service::acme::eab::{EabKeyState, Standing};
use crate::service::acme::eab_keys::{self, BoundAccounts, MOST};
use crate::shape;

/// An external account key. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EabKey {
    /// Its id, which clients call kid.
    pub id: String,
    /// Whether an account can be bound to it now.
    pub standing: Standing,
    /// What it grants.
    #[schemars(with = "shape::Grant")]
    pub grant: Grant,
    /// When it was made.
    pub created: u64,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// Accounts that were bound to it.
    pub accounts: u64,
    /// Orders of its accounts, counted if the grant limits them.
    pub orders: u64,
    /// Certificates of its accounts, counted if the grant limits them.
    pub certificates: u64,
    /// When and by whom it was revoked, if it was.
    pub revoked: Option<Ended>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "EabKeys")]
pub struct Page {
    /// The keys, by id.
    pub keys: Vec<EabKey>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<String>,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NewEabKey")]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// What it grants.
    #[schemars(with = "shape::Grant")]
    pub grant: Grant,
    /// For how many seconds accounts can be bound to it, instead of the grant's `expires`.
    pub lifetime: Option<u64>,
}

/// A key that was made. The one time that its secret is shown.
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "CreatedEabKey")]
pub struct Created {
    /// The key.
    #[serde(flatten)]
    pub key: EabKey,
    /// Its MAC key, base64url.
    pub mac_key: String,
}

/// How a key is revoked.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "EabKeyRevocation")]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What becomes of the accounts that are bound to it.
    #[schemars(with = "shape::BoundAccounts")]
    pub accounts: BoundAccounts,
}

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "EabKeyRevoked")]
pub struct Revoked {
    /// Accounts that were ended.
    pub ended: u64,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    #[serde(default = "most")]
    limit: usize,
    cursor: Option<String>,
}

fn most() -> usize {
    MOST
}

pub(super) async fn list(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Query(ask): Query<Ask>,
) -> Result<Json<Page>, Problem> {
    let page = acme.list_eab_keys(&permitted, ask.cursor.as_deref(), ask.limit).map_err(failure::problem)?;
    Ok(Json(Page { keys: page.keys.into_iter().map(EabKey::from).collect(), next: page.next }))
}

pub(super) async fn show(
    permitted: Permitted<access::ReadAcme>,
    State(acme): State<Arc<Acme>>,
    Path(key): Path,
) -> Result<Json<EabKey>, Problem> {
    Ok(Json(acme.show_eab_key(&permitted, &key).map_err(failure::problem)?.into()))
}

pub(super) async fn create(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Body(Create { mut grant, lifetime }): Body<Create>,
) -> Result<New<Created>, Problem> {
    if let Some(lifetime) = lifetime {
        grant.expires = Some(acme.now().plus(lifetime));
    }
    let (key, secret) = acme.create_eab_key(&permitted, grant).await.map_err(failure::problem)?;
    Ok(New(Created { key: key.into(), mac_key: secret.reveal().to_string() }))
}

pub(super) async fn revoke(
    permitted: Permitted<access::ManageAcme>,
    State(acme): State<Arc<Acme>>,
    Path(key): Path,
    Body(revocation): Body<Revocation>,
) -> Result<Json<Revoked>, Problem> {
    let ended = acme.revoke_eab_key(&permitted, &key, revocation.accounts).await.map_err(failure::problem)?;
    Ok(Json(Revoked { ended }))
}

impl From<eab_keys::EabKey> for EabKey {
    fn from(key: eab_keys::EabKey) -> Self {
        let record = key.record;
        Self {
            id: key.id,
            standing: key.standing,
            grant: record.grant,
            created: record.created.0,
            created_by: record.created_by,
            accounts: record.accounts,
            orders: record.orders,
            certificates: record.certificates,
            revoked: match record.state {
                EabKeyState::Revoked { at, by } => Some(Ended { at: at.0, by }),
                EabKeyState::Active | EabKeyState::Used { .. } => None,
            },
        }
    }
}
