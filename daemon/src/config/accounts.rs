//! The part of `[acme]` that is about accounts.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::parse::{Wrong, wrong};

/// Who may have an account, and on which terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// `external_accounts`
    pub external: ExternalAccounts,
    /// `nonces`
    pub nonces: NonceKeeper,
    /// `terms_of_service_changed`
    pub terms_changed: TermsChanged,
}

/// Whether a new account must be bound to an external account key (RFC 8555 section 7.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExternalAccounts {
    /// It may be.
    #[default]
    Optional,
    /// It must be.
    Required,
}

/// Where it is kept which nonces were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NonceKeeper {
    /// In memory, one bit each, and in the store over an orderly restart: no write for a nonce.
    #[default]
    Memory,
    /// In the store, one insert each: for several daemons over one store.
    Store,
}

/// What a new URL of the terms of service means for accounts that agreed to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TermsChanged {
    /// Nothing: they go on.
    #[default]
    Keep,
    /// They must agree again (RFC 8555 section 7.3.3).
    Require,
}

pub(super) fn check(
    external: Option<ExternalAccounts>,
    nonces: Option<NonceKeeper>,
    terms_changed: Option<Spanned<TermsChanged>>,
    terms: &Option<Spanned<String>>,
) -> Result<Accounts, Wrong> {
    let terms_changed = match terms_changed {
        Some(changed) if terms.is_none() && *changed.get_ref() == TermsChanged::Require => {
            return wrong(&changed, "there are no terms to agree to: write `terms_of_service`, or leave this out");
        }
        Some(changed) => changed.into_inner(),
        None => TermsChanged::default(),
    };
    Ok(Accounts { external: external.unwrap_or_default(), nonces: nonces.unwrap_or_default(), terms_changed })
}
