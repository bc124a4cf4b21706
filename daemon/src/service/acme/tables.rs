//! What the ACME surface keeps. Orders stand with the pipeline that completes them.

use policy::effects::UnixTime;
use serde::{Deserialize, Serialize};

use super::key::AccountKey;
use super::nonce::Part;
use super::records::AuthorizationRecord;
use crate::store::Table;

/// Accounts. Key: account id.
pub(super) const ACCOUNTS: Table<AccountRecord> = Table::new("acme_accounts");

/// Account keys, so that no key has two accounts and none is certified. Key: SHA-256 of the
/// SubjectPublicKeyInfo. Value: account id.
pub(super) const ACCOUNT_KEYS: Table<String> = Table::new("acme_account_keys");

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
    /// Whether its owner agreed to the terms of service, if there were any.
    pub terms_agreed: bool,
    /// When it was made.
    pub created: UnixTime,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Ended by its owner, for ever.
    Deactivated,
    /// In use.
    Valid,
}
