//! `/admin/v1/nodes`: registered nodes and their seeds: list, show, register, change, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::registration::{CommonName, Registration};
use policy::serial::Serial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::New;
use super::body::Body;
use super::failure;
use super::path::Path;
use super::query::Query;
use crate::api::access::{ManageNodes, Permitted, ReadNodes};
use crate::problem::Problem;
use crate::service::nodes::{self, DeletedOnes, MOST, NodeState, SeedStanding, USUAL_LIFETIME};
use crate::service::{Failure, Services};
use crate::shape;

/// A node. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Node {
    /// What is registered.
    #[schemars(with = "shape::Registration")]
    pub registration: Registration,
    /// How it stands.
    pub state: NodeState,
    /// Serial number of its youngest certificate, if it has one.
    #[schemars(with = "Option<shape::Serial>")]
    pub certificate: Option<Serial>,
    /// When it was registered.
    pub registered: u64,
    /// By whom, in the words of the journal.
    pub registered_by: String,
    /// When and by whom it was deleted, if it was.
    pub deleted: Option<Deleted>,
}

/// That a node is deleted.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Deleted {
    /// When.
    pub at: u64,
    /// By whom, in the words of the journal.
    pub by: String,
}

/// What is to be registered.
#[derive(JsonSchema, Deserialize)]
#[serde(transparent)]
pub(super) struct Register(#[schemars(with = "shape::Registration")] Registration);

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Nodes")]
pub struct Page {
    /// The nodes, by common name.
    pub nodes: Vec<Node>,
    /// The `cursor` of the next page, if there is one.
    #[schemars(with = "Option<shape::CommonName>")]
    pub next: Option<CommonName>,
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "RevokedWithNode")]
pub struct Revoked {
    /// Certificates that were revoked.
    pub revoked: u64,
}

/// A seed, without its secret. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Seed {
    /// Names it in logs: the beginning of its SHA-256.
    pub id: String,
    /// Whether it is good.
    pub standing: SeedStanding,
    /// When it was made.
    pub created: u64,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// Last second in which it is good.
    pub expires: u64,
}

/// A seed to be made.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSeed {
    /// For how many seconds it is good.
    #[serde(default = "usual")]
    pub lifetime: u64,
}

/// A seed that was made. The one time that its secret is shown.
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Made {
    /// The seed.
    #[serde(flatten)]
    pub seed: Seed,
    /// Its secret.
    pub secret: String,
}

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    #[serde(default = "most")]
    limit: usize,
    #[schemars(with = "Option<shape::CommonName>")]
    cursor: Option<CommonName>,
    #[serde(default)]
    deleted: bool,
}

fn most() -> usize {
    MOST
}

fn usual() -> u64 {
    USUAL_LIFETIME
}

pub(super) async fn list(
    permitted: Permitted<ReadNodes>,
    State(services): State<Arc<Services>>,
    Query(ask): Query<Ask>,
) -> Result<Json<Page>, Problem> {
    let deleted = if ask.deleted { DeletedOnes::Included } else { DeletedOnes::LeftOut };
    let page = services.nodes(&permitted, ask.cursor.as_ref(), ask.limit, deleted).map_err(failure::problem)?;
    Ok(Json(Page { nodes: page.nodes.into_iter().map(Node::from).collect(), next: page.next }))
}

pub(super) async fn show(
    permitted: Permitted<ReadNodes>,
    State(services): State<Arc<Services>>,
    Path(node): Path,
) -> Result<Json<Node>, Problem> {
    Ok(Json(services.node(&permitted, &read(&node)?).map_err(failure::problem)?.into()))
}

pub(super) async fn register(
    permitted: Permitted<ManageNodes>,
    State(services): State<Arc<Services>>,
    Body(Register(registration)): Body<Register>,
) -> Result<New<Node>, Problem> {
    let node = services.register_node(&permitted, registration).await.map_err(failure::problem)?;
    Ok(New(node.into()))
}

pub(super) async fn change(
    permitted: Permitted<ManageNodes>,
    State(services): State<Arc<Services>>,
    Path(node): Path,
    Body(Register(registration)): Body<Register>,
) -> Result<Json<Node>, Problem> {
    if registration.common_name != read(&node)? {
        let why = "a node keeps its common name: register another one, and delete this";
        return Err(failure::problem(Failure::Invalid(why.to_owned())));
    }
    Ok(Json(services.change_node(&permitted, registration).await.map_err(failure::problem)?.into()))
}

pub(super) async fn remove(
    permitted: Permitted<ManageNodes>,
    State(services): State<Arc<Services>>,
    Path(node): Path,
) -> Result<Json<Revoked>, Problem> {
    let revoked = services.delete_node(&permitted, &read(&node)?).await.map_err(failure::problem)?;
    Ok(Json(Revoked { revoked: revoked as u64 }))
}

pub(super) async fn seeds(
    permitted: Permitted<ReadNodes>,
    State(services): State<Arc<Services>>,
    Path(node): Path,
) -> Result<Json<Vec<Seed>>, Problem> {
    let node = read(&node)?;
    // Of a node that never was there is more to say than that it has no seeds.
    services.node(&permitted, &node).map_err(failure::problem)?;
    let seeds = services.seeds(&permitted, &node).map_err(failure::problem)?;
    Ok(Json(seeds.into_iter().map(Seed::from).collect()))
}

pub(super) async fn make_seed(
    permitted: Permitted<ManageNodes>,
    State(services): State<Arc<Services>>,
    Path(node): Path,
    Body(NewSeed { lifetime }): Body<NewSeed>,
) -> Result<New<Made>, Problem> {
    let made = services.issue_seed(&permitted, &read(&node)?, lifetime).await;
    let (seed, secret) = made.map_err(failure::problem)?;
    Ok(New(Made { seed: seed.into(), secret: secret.reveal().to_owned() }))
}

/// The common name in a path.
fn read(text: &str) -> Result<CommonName, Problem> {
    CommonName::parse(text).map_err(|error| failure::problem(Failure::Missing(error.to_string())))
}

impl From<nodes::Node> for Node {
    fn from(node: nodes::Node) -> Self {
        Self {
            registration: node.registration,
            state: node.state,
            certificate: node.certificate,
            registered: node.registered.0,
            registered_by: node.registered_by,
            deleted: node.deleted.map(|deleted| Deleted { at: deleted.at.0, by: deleted.by }),
        }
    }
}

impl From<nodes::SeedListed> for Seed {
    fn from(seed: nodes::SeedListed) -> Self {
        Self {
            id: seed.id,
            standing: seed.standing,
            created: seed.created.0,
            created_by: seed.created_by,
            expires: seed.expires.0,
        }
    }
}
