//! What a rig was asked to be, kept so that it comes up the same again.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use super::{Failure, Layout};
use crate::ports;

/// Engines of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// sled 0.34
    Sled,
    /// SQLite
    #[default]
    Sqlite,
}

/// Whether `up` unseals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// It leaves the seal as it is.
    Sealed,
    /// It unseals with the PIN file.
    #[default]
    Unsealed,
}

/// Which PKCS#11 module the CA's signer loads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Module {
    /// The module between that counts calls, and fails when told to, and then SoftHSM.
    Counting,
    /// SoftHSM.
    #[default]
    SoftHsm,
}

/// What `up` is asked for. What is not given is as it was, or chosen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Engine of the store.
    pub engine: Option<Engine>,
    /// Where ACME and public material are served over TLS.
    pub listen: Option<SocketAddr>,
    /// Port to which http-01 connects.
    pub http01_port: Option<u16>,
    /// Port to which tls-alpn-01 connects.
    pub tls01_port: Option<u16>,
    /// Resolver to ask; without one every name is at 127.0.0.1.
    pub dns: Option<SocketAddr>,
    /// Profile of an order that names none.
    pub profile: Option<String>,
    /// Whether to unseal.
    pub start: Start,
    /// Which module the CA's signer loads. Decided by the ceremony.
    pub ca_module: Module,
}

/// Decisions of one rig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Engine of the store.
    pub engine: Engine,
    /// ACME and public material, TLS.
    pub listen: SocketAddr,
    /// Administration, mutual TLS.
    pub admin: SocketAddr,
    /// Public material, plain HTTP.
    pub pki: SocketAddr,
    /// Port to which http-01 connects.
    pub http01_port: u16,
    /// Port to which tls-alpn-01 connects.
    pub tls01_port: u16,
    /// Resolver that validation asks.
    pub dns: SocketAddr,
    /// Whether that resolver is the rig's own.
    pub own_dns: bool,
    /// Profile of an order that names none.
    pub profile: Option<String>,
}

impl Engine {
    /// Its store's file or directory.
    pub fn file(self) -> &'static str {
        match self {
            Self::Sled => "signet.sled",
            Self::Sqlite => "signet.sqlite",
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sled => "sled",
            Self::Sqlite => "sqlite",
        })
    }
}

impl Record {
    /// What an earlier `up` decided, changed where `options` say so.
    pub(super) fn decide(layout: &Layout, options: &Options) -> Result<Self, Failure> {
        let mut record = match Self::load(layout)? {
            Some(record) => record,
            None => Self::fresh(options.engine.unwrap_or_default()).map_err(|error| error.to_string())?,
        };
        if options.engine.is_some_and(|engine| engine != record.engine) {
            return Err(format!("this rig keeps its records in {}: use another directory", record.engine));
        }
        if let Some(dns) = options.dns {
            (record.dns, record.own_dns) = (dns, false);
        }
        record.listen = options.listen.unwrap_or(record.listen);
        record.http01_port = options.http01_port.unwrap_or(record.http01_port);
        record.tls01_port = options.tls01_port.unwrap_or(record.tls01_port);
        record.profile = options.profile.clone().or(record.profile);
        Ok(record)
    }

    pub(super) fn load(layout: &Layout) -> Result<Option<Self>, Failure> {
        let path = layout.record();
        match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("{}: {error}", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub(super) fn save(&self, layout: &Layout) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        super::write(&layout.record(), &text)
    }

    fn fresh(engine: Engine) -> std::io::Result<Self> {
        let mut taken = Vec::new();
        while taken.len() < 6 {
            let port = ports::free()?;
            if !taken.contains(&port) {
                taken.push(port);
            }
        }
        let address = |port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        Ok(Self {
            engine,
            listen: address(taken[0]),
            admin: address(taken[1]),
            pki: address(taken[2]),
            http01_port: taken[3],
            tls01_port: taken[4],
            dns: address(taken[5]),
            own_dns: true,
            profile: None,
        })
    }
}
