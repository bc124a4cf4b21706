//! The file as it stands: which fields there are and what kind of value each holds. Everything
//! else is checked by [`super::parse`].

use std::path::PathBuf;

use hsm::confine::Waiver;
use policy::evidence::Method;
use serde::Deserialize;
use toml::Spanned;

use super::accounts::{ExternalAccounts, NonceKeeper, TermsChanged};
use super::{ClientCertificates, StoreEngine, Surface, validation};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: Spanned<u16>,
    #[serde(default)]
    pub(super) acme: Acme,
    pub(super) ca: Ca,
    #[serde(default)]
    pub(super) certmaker: super::certmaker::Raw,
    #[serde(default)]
    pub(super) crl: super::crl::Raw,
    #[serde(default)]
    pub(super) hardening: Hardening,
    pub(super) health_socket: Option<PathBuf>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(rename = "listener", default)]
    pub(super) listeners: Vec<Spanned<Listener>>,
    pub(super) log: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) notary: super::notary::Raw,
    #[serde(default)]
    pub(super) ocsp: super::ocsp::Raw,
    pub(super) public_url: Spanned<String>,
    #[serde(default)]
    pub(super) rate_limits: super::rate_limits::Raw,
    pub(super) signers: Signers,
    pub(super) store: Store,
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) upki: super::upki::Raw,
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) validation: validation::Raw,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acme {
    pub(super) authorization_lifetime: Option<Spanned<String>>,
    pub(super) challenges: Option<Spanned<Vec<Spanned<Method>>>>,
    pub(super) default_profile: Option<Spanned<String>>,
    pub(super) external_accounts: Option<ExternalAccounts>,
    pub(super) nonces: Option<NonceKeeper>,
    pub(super) finalize_patience: Option<Spanned<String>>,
    pub(super) order_lifetime: Option<Spanned<String>>,
    pub(super) pre_authorization: Option<Spanned<bool>>,
    pub(super) profiles: Option<Spanned<Vec<String>>>,
    pub(super) retention: Option<Spanned<String>>,
    pub(super) reuse_authorizations: Option<bool>,
    pub(super) terms_of_service: Option<Spanned<String>>,
    pub(super) terms_of_service_changed: Option<Spanned<TermsChanged>>,
    pub(super) upki_forms: Option<bool>,
    pub(super) website: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ca {
    #[serde(default)]
    pub(super) alternate_chains: Vec<PathBuf>,
    pub(super) issuer: PathBuf,
    pub(super) key: Spanned<String>,
    pub(super) profiles: PathBuf,
    #[serde(default)]
    pub(super) retiring: Vec<Spanned<String>>,
    pub(super) root: PathBuf,
    pub(super) root_crl: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hardening {
    #[serde(default)]
    pub(super) without: Vec<Waiver>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) body: Option<Spanned<u64>>,
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) header: Option<Spanned<u64>>,
    pub(super) header_timeout: Option<Spanned<String>>,
    pub(super) request_timeout: Option<Spanned<String>>,
    pub(super) write_timeout: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) address: Option<Spanned<String>>,
    pub(super) client_certificates: Option<Spanned<ClientCertificates>>,
    pub(super) path: Option<Spanned<PathBuf>>,
    pub(super) socket: Option<Spanned<String>>,
    pub(super) surfaces: Spanned<Vec<Spanned<Surface>>>,
    pub(super) tls: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signers {
    pub(super) ca: PathBuf,
    pub(super) deadline: Option<Spanned<String>>,
    pub(super) tls: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) engine: StoreEngine,
    pub(super) path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) chain: PathBuf,
    pub(super) key: Spanned<String>,
    pub(super) versions: Option<Spanned<Vec<String>>>,
}
