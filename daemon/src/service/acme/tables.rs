//! What the ACME surface keeps. Orders stand with the pipeline that completes them.

use policy::effects::UnixTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::AccountKey;
use super::nonce::Part;
use super::records::AuthorizationRecord;
use crate::store::Table;

/// Accounts. Key: account id.
pub(super) const ACCOUNTS: Table<AccountRecord> = Table::new("acme_accounts");

/// Account keys, so that no key has two accounts and none is certified. Key: SHA-256 of the
/// SubjectPublicKeyInfo. Value: account id.
pub(super) const ACCOUNT_KEYS: Table<String> = Table::new("acme_account_keys");

/// Accounts by the RFC 7638 thumbprint of their key. Value: account id.
pub(super) const ACCOUNT_THUMBPRINTS: Table<String> = Table::new("acme_account_thumbprints");

/// Orders of an account. Key: account id, `/`, order id.
pub(super) const ACCOUNT_ORDERS: Table<()> = Table::new("acme_account_orders");

/// Authorizations. Key: authorization id.
pub const AUTHORIZATIONS: Table<AuthorizationRecord> = Table::new("acme_authorizations");

/// The youngest valid authorization of an account for a name. Key: account id, `/`, the name with the
/// label `*` of a wildcard. Value: authorization id.
pub(super) const AUTHORIZED_NAMES: Table<String> = Table::new("acme_authorized_names");

/// Orders and authorizations by the time from which nobody needs them, for their removal. Key: that
/// time (u64, big-endian), the id.
pub(super) const ORDERS_BY_END: Table<()> = Table::new("acme_orders_by_end");
/// See [`ORDERS_BY_END`].
pub(super) const AUTHORIZATIONS_BY_END: Table<()> = Table::new("acme_authorizations_by_end");

/// Authorizations by the token of a challenge, where key authorizations are served. Value:
/// authorization id.
pub(super) const CHALLENGE_TOKENS: Table<String> = Table::new("acme_challenge_tokens");

/// The order that replaces a certificate (RFC 9773 section 5). Key: serial, 20 octets. Value: order id.
pub(super) const REPLACEMENTS: Table<String> = Table::new("acme_replacements");

/// State of the nonces at an orderly stop. Key: number of the part, one octet.
pub(super) const NONCES: Table<Part> = Table::new("acme_nonces");

/// Challenges whose validation is under way, to be taken up again after a restart.
/// Key: authorization id, `/`, method.
pub(super) const VALIDATING: Table<()> = Table::new("acme_validating");

/// An account (RFC 8555 section 7.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its key.
    pub key: AccountKey,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// URLs to reach its owner.
    pub contact: Vec<String>,
    /// What its owner agreed to last, if he did.
    #[serde(default)]
    pub terms: Option<Agreement>,
    /// When it was made.
    pub created: UnixTime,
    /// The external account key that it is bound to, if it is.
    #[serde(default)]
    pub binding: Option<Binding>,
    /// Set once it is ended.
    #[serde(default)]
    pub ended: Option<Ended>,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Ended by its owner, for ever.
    Deactivated,
    /// Ended by an administrator, for ever.
    Revoked,
    /// In use.
    Valid,
}

/// That an owner agreed to the terms of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// URL of the terms as it was configured then, if any were.
    pub url: Option<String>,
    /// When.
    pub at: UnixTime,
}

/// That an account belongs to an external account key (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Id of the key.
    pub key: String,
    /// The binding's JWS as the client sent it; none if an administrator bound the account.
    pub jws: Option<Value>,
}

/// That an account is ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: UnixTime,
    /// By whom, in the words of the journal.
    pub by: String,
}
