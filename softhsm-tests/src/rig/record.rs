//! What a rig was asked to be, kept so that it comes up the same again.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

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

/// The clock that the daemons see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The host's.
    #[default]
    Host,
    /// The host's, as far off as [`Rig::set_clock`](super::Rig::set_clock) says: libfaketime stands
    /// between the daemons and the C library's clock of the day.
    Offset,
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
    /// TOML that goes into `signetd.toml` beside, or in place of, what a rig says there.
    pub settings: Option<String>,
    /// Surfaces beside ACME's, where that is served; then clients may show certificates there.
    pub surfaces: Option<Vec<String>>,
    /// Whether to unseal.
    pub start: Start,
    /// Which module the CA's signer loads. Decided by the ceremony.
    pub ca_module: Module,
    /// Where store and CA journal lie, instead of in the rig's directory. Decided by the ceremony.
    pub disk: Option<PathBuf>,
    /// How many CRL shards the profiles name; none without it. Decided by the ceremony.
    pub shards: Option<u16>,
    /// Whether signers are watched.
    pub watchdog: Watchdog,
    /// The clock that the daemons see.
    pub clock: Clock,
}

/// Whether signers are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Watchdog {
    /// One that hangs is left alone: for tests that stop the world.
    Off,
    /// One that hangs is replaced.
    #[default]
    On,
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
    /// What `signetd.toml` says beside, or in place of, what a rig says there.
    #[serde(default)]
    pub settings: String,
    /// Surfaces beside ACME's, where that is served.
    #[serde(default)]
    pub surfaces: Vec<String>,
    /// Where store and CA journal lie, if not in the rig's directory.
    pub disk: Option<PathBuf>,
    /// Whether signers are watched.
    pub watchdog: Watchdog,
    /// The clock that the daemons see.
    #[serde(default)]
    pub clock: Clock,
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
            None => {
                let engine = options.engine.unwrap_or_default();
                Self::fresh(engine, options.disk.clone()).map_err(|error| error.to_string())?
            }
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
        record.settings = options.settings.clone().unwrap_or(record.settings);
        record.surfaces = options.surfaces.clone().unwrap_or(record.surfaces);
        record.watchdog = options.watchdog;
        record.clock = options.clock;
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

    /// The daemon's records.
    pub fn store(&self, layout: &Layout) -> PathBuf {
        self.disk.as_deref().map_or_else(|| layout.store(), |disk| disk.join("store")).join(self.engine.file())
    }

    /// State of the CA's signer: journal and attempts.
    pub fn ca_state(&self, layout: &Layout) -> PathBuf {
        self.disk.as_deref().map_or_else(|| layout.state(), Path::to_owned).join("ca")
    }

    /// The same rig on ports of its own, with its records on another disk.
    pub(super) fn twin(&self, disk: &Path) -> std::io::Result<Self> {
        let fresh = Self::fresh(self.engine, Some(disk.to_owned()))?;
        let (settings, surfaces) = (self.settings.clone(), self.surfaces.clone());
        Ok(Self { profile: self.profile.clone(), settings, surfaces, watchdog: self.watchdog, ..fresh })
    }

    pub(super) fn save(&self, layout: &Layout) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        super::write(&layout.record(), &text)
    }

    fn fresh(engine: Engine, disk: Option<PathBuf>) -> std::io::Result<Self> {
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
            settings: String::new(),
            surfaces: Vec::new(),
            disk,
            watchdog: Watchdog::On,
            clock: Clock::Host,
        })
    }
}
