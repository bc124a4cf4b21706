//! The three tokens: how each is found, made and opened.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use policy::key::KeyAlgorithm;

use super::layout::Layout;
use super::{CeremonyError, files};
use crate::pkcs11::{Pin, Token, TokenConfig, TokenKey, create_token};

/// One token of the ceremony.
pub(super) struct Custody<'a> {
    /// `root`, `ca`, `tls`.
    pub(super) name: &'static str,
    pub(super) module: &'a Path,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) uri: String,
    pub(super) pin: &'a Pin,
}

/// Kinds of keys that the ceremony can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    /// NIST P-256
    P256,
    /// NIST P-384
    P384,
    /// RSA with 3072 bits
    Rsa3072,
}

impl Algorithm {
    fn parts(self) -> (KeyAlgorithm, u16) {
        match self {
            Self::P256 => (KeyAlgorithm::P256, 256),
            Self::P384 => (KeyAlgorithm::P384, 384),
            Self::Rsa3072 => (KeyAlgorithm::Rsa, 3072),
        }
    }
}

impl<'a> Custody<'a> {
    pub(super) fn new(name: &'static str, module: &'a Path, layout: &Layout, pin: &'a Pin) -> Self {
        Self::attached(name, module, &layout.config, pin)
    }

    /// A token that a ceremony made before; with SoftHSM, `directory` holds the file that says where it
    /// is.
    pub(super) fn attached(name: &'static str, module: &'a Path, directory: &Path, pin: &'a Pin) -> Self {
        let mut environment = BTreeMap::new();
        if is_softhsm(module) {
            let file = directory.join(format!("softhsm-{name}.conf"));
            environment.insert("SOFTHSM2_CONF".to_owned(), file.display().to_string());
        }
        Self { name, module, environment, uri: format!("pkcs11:token={}", label(name)), pin }
    }

    /// Makes the token, and with SoftHSM its directory and configuration file first.
    pub(super) fn make(&self, layout: &Layout, so_pin: &Pin) -> Result<(), CeremonyError> {
        files::directory(&layout.state_of(self.name), files::Access::Owner)?;
        if is_softhsm(self.module) {
            let tokens = layout.tokens(self.name);
            files::directory(&tokens, files::Access::Owner)?;
            files::create(&layout.softhsm(self.name), softhsm_conf(&tokens).as_bytes(), files::Access::Everybody)?;
        }
        Ok(create_token(&self.config(), so_pin, self.pin, &label(self.name))?)
    }

    /// Loads the module, finds the token and logs in. Only one token is open at a time: a module
    /// reads its environment when it is initialised, and dropping the token finalises it.
    pub(super) fn open(&self) -> Result<Token, CeremonyError> {
        let token = Token::open(&self.config())?;
        token.login(self.pin)?;
        Ok(token)
    }

    fn config(&self) -> TokenConfig<'_> {
        TokenConfig {
            module: self.module,
            arguments: None,
            environment: &self.environment,
            uri: &self.uri,
            sessions: 1,
            deadline: GENERATION,
        }
    }
}

/// Generates a key, and proves with a signature that verifies that it is usable.
pub(super) fn key(token: &Token, label: &str, algorithm: Algorithm) -> Result<TokenKey, CeremonyError> {
    let (kind, bits) = algorithm.parts();
    let key = token.generate(label, kind, bits)?;
    let scheme = key.public.certificate_scheme();
    let signature = token.sign(&key, scheme, TEST_MESSAGE)?;
    key.public.verify(scheme, TEST_MESSAGE, &signature).map_err(|_| {
        CeremonyError::Refused(format!(
            "the key {label} signs, but its signature does not verify: do not use this token"
        ))
    })?;
    Ok(key)
}

/// Whether the module is SoftHSM, whose tokens are directories.
pub(super) fn is_softhsm(module: &Path) -> bool {
    module.file_name().is_some_and(|name| name.to_string_lossy().contains("softhsm"))
}

/// The label of the token called `name`.
pub(super) fn label(name: &str) -> String {
    format!("signet-{name}")
}

fn softhsm_conf(tokens: &Path) -> String {
    format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        tokens.display()
    )
}

/// Signed once by each new key, and nothing that anybody would take for something else.
const TEST_MESSAGE: &[u8] = b"signet key ceremony: test of a new key";

/// Longest call of a ceremony: an RSA key on a slow token.
const GENERATION: Duration = Duration::from_secs(120);
