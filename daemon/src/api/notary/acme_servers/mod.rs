//! `/api/v1/acme_servers`: ACME servers of other CAs. Secrets come in, and never go out.

pub(super) mod activate;
pub(super) mod change;
pub(super) mod create;
pub(super) mod list;
pub(super) mod remove;
pub(super) mod show;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::secret::Secret;
use crate::service::notary::servers::{Server, Settings, Variables};

/// An ACME server, as the dialect writes it.
#[derive(Serialize)]
pub(super) struct View {
    id: u64,
    #[serde(flatten)]
    settings: Settings,
    active: bool,
    env_var_keys: Vec<String>,
}

impl From<Server> for View {
    fn from(server: Server) -> Self {
        let Server { id, settings, active, variables } = server;
        Self { id, settings, active, env_var_keys: variables }
    }
}

/// An ACME server, as clients write it.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    name: String,
    #[serde(default)]
    directory_url: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    dns_provider: String,
    env_vars: Option<BTreeMap<String, Secret>>,
}

impl Wish {
    fn taken_apart(self) -> (Settings, Option<Variables>) {
        let Self { name, directory_url, email, dns_provider, env_vars } = self;
        let variables =
            env_vars.map(|variables| variables.into_iter().map(|(name, secret)| (name, secret.0)).collect());
        (Settings { name, directory_url, email, dns_provider }, variables)
    }
}
