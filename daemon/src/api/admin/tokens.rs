//! `/admin/v1/tokens`: API tokens: create, list, show, set.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::failure;
use super::path::Path;
use super::query::Query;
use crate::api::access::{self, Permitted};
use crate::problem::Problem;
use crate::service::Services;
use crate::service::tokens::{self, MOST, TokenGrant, TokenState};
use crate::shape;

/// An API token, without its secret. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Token {
    /// Its id, as it stands in the journal: `token:ID`.
    pub id: String,
    /// How it stands.
    #[schemars(with = "shape::TokenState")]
    pub state: TokenState,
    /// What it grants.
    #[schemars(with = "shape::TokenGrant")]
    pub grant: TokenGrant,
    /// When it was made.
    pub created: u64,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// When it last got another state, if it did.
    pub changed: Option<u64>,
    /// By whom, in the words of the journal.
    pub changed_by: Option<String>,
    /// When it was last used, to the hour.
    pub last_used: Option<u64>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Tokens")]
pub struct Page {
    /// The tokens, by id.
    pub tokens: Vec<Token>,
    /// The `cursor` of the next page, if there is one.
    pub next: Option<String>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "NewToken")]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// What it grants.
    #[schemars(with = "shape::TokenGrant")]
    pub grant: TokenGrant,
    /// For how many seconds it is taken, instead of the grant's `expires`.
    pub lifetime: Option<u64>,
}

/// A token that was made. The one time that it is shown.
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "CreatedToken")]
pub struct Created {
    /// What it is.
    #[serde(flatten)]
    pub token: Token,
    /// The token itself, for `Authorization: Bearer`.
    pub secret: String,
}

/// How a token stands from now on.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    /// Which state.
    #[schemars(with = "shape::TokenState")]
    pub state: TokenState,
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
    permitted: Permitted<access::ReadTokens>,
    State(services): State<Arc<Services>>,
    Query(ask): Query<Ask>,
) -> Result<Json<Page>, Problem> {
    let (tokens, more) = services.tokens(&permitted, ask.cursor.as_deref(), ask.limit).map_err(failure::problem)?;
    let tokens: Vec<Token> = tokens.into_iter().map(Token::from).collect();
    let next = tokens.last().filter(|_| more).map(|token| token.id.clone());
    Ok(Json(Page { tokens, next }))
}

pub(super) async fn show(
    permitted: Permitted<access::ReadTokens>,
    State(services): State<Arc<Services>>,
    Path(token): Path,
) -> Result<Json<Token>, Problem> {
    Ok(Json(services.token(&permitted, &token).map_err(failure::problem)?.into()))
}

pub(super) async fn create(
    permitted: Permitted<access::ManageTokens>,
    State(services): State<Arc<Services>>,
    Body(Create { mut grant, lifetime }): Body<Create>,
) -> Result<New<Created>, Problem> {
    if let Some(lifetime) = lifetime {
        grant.expires = Some(services.clock.now().plus(lifetime));
    }
    let (token, secret) = services.create_token(&permitted, grant).await.map_err(failure::problem)?;
    Ok(New(Created { token: token.into(), secret: secret.reveal().to_owned() }))
}

pub(super) async fn set_state(
    permitted: Permitted<access::ManageTokens>,
    State(services): State<Arc<Services>>,
    Path(token): Path,
    Body(SetState { state }): Body<SetState>,
) -> Result<NoContent, Problem> {
    services.set_token(&permitted, &token, state).await.map_err(failure::problem)?;
    Ok(NoContent)
}

impl From<tokens::Token> for Token {
    fn from(token: tokens::Token) -> Self {
        let (changed, changed_by) = token.changed.map(|changed| (changed.at.0, changed.by)).unzip();
        Self {
            id: token.id,
            state: token.state,
            grant: token.grant,
            created: token.created.0,
            created_by: token.created_by,
            changed,
            changed_by,
            last_used: token.last_used.map(|at| at.0),
        }
    }
}
