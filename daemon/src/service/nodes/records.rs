//! What is kept of nodes and their seeds.

use policy::effects::UnixTime;
use policy::registration::{CommonName, Registration};
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use crate::store::Table;

/// Nodes, deleted ones included. Key: common name.
pub(super) const NODES: Table<NodeRecord> = Table::new("nodes");

/// Nodes by the ACME account that is their own. Key: thumbprint of the account's key. Value: common name.
pub(super) const NODES_BY_ACCOUNT: Table<CommonName> = Table::new("nodes_by_account");

/// Seeds. Key: SHA-256 of the seed, hexadecimal: it has 256 random bits, so nothing slower is needed.
pub(super) const SEEDS: Table<SeedRecord> = Table::new("node_seeds");

/// Seeds of a node. Key: common name, 0x00, key of the seed.
pub(super) const SEEDS_BY_NODE: Table<()> = Table::new("node_seeds_by_node");

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    /// Tells it from another node of the same name before it or after it.
    pub(super) id: String,
    /// What is registered.
    pub(super) registration: Registration,
    /// When it was registered.
    pub(super) registered: UnixTime,
    /// By whom, in the words of the journal.
    pub(super) registered_by: String,
    /// Set once it is deleted.
    pub(super) deleted: Option<Deleted>,
}

/// That a node is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// When.
    pub at: UnixTime,
    /// By whom, in the words of the journal.
    pub by: String,
}

/// A seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeedRecord {
    /// Whose: the node's common name, and which of that name.
    pub(super) node: CommonName,
    pub(super) node_id: String,
    /// When it was made, and by whom, in the words of the journal.
    pub(super) created: UnixTime,
    pub(super) created_by: String,
    /// Last second in which it is good.
    pub(super) expires: UnixTime,
    /// What became of it.
    pub(super) state: SeedState,
}

/// What became of a seed. That its time is over is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum SeedState {
    /// Nothing.
    Fresh,
    /// A certificate is being made.
    Taken {
        /// Since when.
        at: UnixTime,
        /// For which request.
        request: String,
    },
    /// A certificate was made.
    Used {
        /// When.
        at: UnixTime,
        /// Which.
        certificate: Serial,
    },
}
