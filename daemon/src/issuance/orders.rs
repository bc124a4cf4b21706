//! Orders: what the pipeline completes, and the journal completes again after a crash (J3).

use policy::effects::UnixTime;
use policy::name::DnsName;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use crate::store::Table;

/// Orders. Key: the order's id as text, which authorization records carry as `order`.
pub const ORDERS: Table<OrderRecord> = Table::new("orders");

/// An order (RFC 8555 section 7.1.3). One row, written when it is made and when it is completed:
/// what lies between follows from its authorizations and the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Who ordered: the account's id as text.
    pub account: String,
    /// When.
    pub created: UnixTime,
    /// Last second in which it can be finalized.
    pub expires: UnixTime,
    /// Name of the profile.
    pub profile: String,
    /// The names, in the order in which they were asked for. Never changes.
    pub names: Vec<DnsName>,
    /// Ids of the authorizations, one a name, in the same order. Never changes.
    pub authorizations: Vec<String>,
    /// The certificate that completed it.
    pub certificate: Option<Serial>,
}
