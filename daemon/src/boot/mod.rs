//! The only place that builds the clock, the store, the signers' handles and the services, in the
//! order that confinement asks for.

mod backup;
mod effects;
mod log;
mod material;
mod notify;
mod reload;
mod sockets;
mod watch;

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hsm::client::Client;
use hsm::confine::{self, Calls, ConfineError, Measure, Network, Program, Rules, Secrets};
use hsm::wire::{Act, Actor, Request};
use nix::unistd::{User, chown, geteuid};
use policy::effects::{Clock, EntropyError};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Address, Certify, Config, ConfigError, InForce, Listener, StoreEngine, Surface, Transport};
use crate::current::Current;
use crate::http::{self, BindError, Endpoint, Socket};
use crate::issuance::ca::Ca;
use crate::issuance::{self, AcceptError};
use crate::revocation::{self, Desk, Imports, Survey};
use crate::service::acme::Acme;
use crate::service::acme::error::AcmeError;
use crate::service::health::Vitals;
use crate::service::limits::{Limits, Save};
use crate::service::metrics::Metrics;
use crate::service::notary::Notary;
use crate::service::{Random, Services};
use crate::store::{self, EngineKind, Store, StoreError};
use crate::tls::{self, Terms, TlsError, TlsSigner};
pub use backup::{BackupError, backup, restore};
use effects::{SystemClock, SystemEntropy};
use material::Material;
pub use material::MaterialError;
use notify::Manager;
use reload::Reload;
use sockets::Passed;
use watch::{first_look, status, tell_manager, watch_signers};

/// Why the daemon does not start. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A journal cannot be accepted.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// The ACME service cannot take up where it stopped.
    #[error("the ACME service cannot start: {0}")]
    Acme(#[from] AcmeError),
    /// A backup cannot be made or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process cannot give up what it should.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A file cannot be imported.
    #[error("{0}")]
    Import(String),
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The store is another user's.
    #[error("the store in {} belongs to {owner}: run this as that user, for example with `runuser -u {owner} --`", .directory.display())]
    Owner {
        /// The store.
        directory: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// The runtime or a signal handler.
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[from] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Reads the configuration and everything it points at, and touches nothing. Returns a sentence
/// that says what was found.
pub fn check(path: &Path) -> Result<String, BootError> {
    let config = Config::read(path)?;
    let material = Material::load(&config)?;
    let warning = match plain(&config.listeners) {
        Some(_) => String::new(),
        None => format!("\nwarning: {}", revocation::BLIND),
    };
    Ok(format!(
        "{}: good: {} listener(s), {} profile(s), store `{}` in {}{warning}",
        path.display(),
        config.listeners.len(),
        material.profiles.len(),
        match config.store.engine {
            StoreEngine::Sled => "sled",
            StoreEngine::Sqlite => "sqlite",
        },
        config.store.path.display(),
    ))
}

/// Another system's database.
pub struct Foreign<'a> {
    /// Where it is.
    pub file: &'a Path,
    /// Which system's.
    pub form: Form,
    /// Where CertMaker keeps certificates.
    pub certificates: Option<&'a Path>,
}

/// Whose database is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// CertMaker's, SQLite.
    Certmaker,
    /// That of `openssl ca`, which most systems can write.
    Openssl,
}

/// The rows to import, in the form of `openssl ca`.
trait Rows: std::io::Read + std::io::Seek {}

impl<T: std::io::Read + std::io::Seek> Rows for T {}

impl Foreign<'_> {
    fn wrong(&self, why: impl std::fmt::Display) -> BootError {
        BootError::Import(format!("{}: {why}", self.file.display()))
    }

    /// The rows, and a remark on them.
    fn rows(&self) -> Result<(Box<dyn Rows>, String), BootError> {
        if self.form == Form::Openssl {
            let file = std::fs::File::open(self.file).map_err(|error| self.wrong(error))?;
            return Ok((Box::new(file), String::new()));
        }
        let read = revocation::certmaker::read(self.file, self.certificates).map_err(|why| self.wrong(why))?;
        let remark = match read.without_file {
            0 => String::new(),
            count => format!("; {count} have no file in --certificates, and count as valid for 182 days"),
        };
        Ok((Box::new(std::io::Cursor::new(read.text)), remark))
    }
}

/// Says what [`import`] would do. Nothing changes.
pub fn rehearse_import(path: &Path, foreign: &Foreign<'_>) -> Result<String, BootError> {
    let config = Config::read(path)?;
    log::start(&config.log);
    let store = own_store(&config)?;
    let (rows, remark) = foreign.rows()?;
    let imports = revocation::rehearse(&store, &config.ca.key, rows, SystemClock.now());
    let Imports { certificates, new, revoked, ours } = imports.map_err(|error| foreign.wrong(error))?;
    Ok(format!(
        "{}: {certificates} certificates, {revoked} of them revoked: {new} would be new, {ours} were signed here{remark}; \
         nothing was changed",
        foreign.file.display()
    ))
}

/// Takes over the status of another system's certificates, once the CA signer's journal has it. Returns a
/// sentence that says what came of it.
pub fn import(path: &Path, foreign: &Foreign<'_>) -> Result<String, BootError> {
    let config = Config::read(path)?;
    log::start(&config.log);
    let store = own_store(&config)?;
    let (rows, remark) = foreign.rows()?;
    let signer = Client::new(config.signers.ca, config.signers.deadline);
    // The daemon is stopped, and a store that is new cannot follow a journal that speaks of what is
    // imported here: the act is noted without catching up first.
    let note = |survey: &Survey| {
        let Survey { sha256, certificates } = survey.clone();
        let act = Act::Import { issuer: config.ca.key.clone(), sha256, certificates };
        let actor = Actor { who: "signetd".to_owned(), request_id: String::new() };
        match signer.call(None, Request::Record { act, actor }) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the import cannot be journalled: {error}: start the CA signer, sealed or not")),
        }
    };
    let imports = revocation::import(&store, &config.ca.key, rows, SystemClock.now(), note);
    let Imports { certificates, new, revoked, ours } = imports.map_err(|error| foreign.wrong(error))?;
    tracing::info!(certificates, new, revoked, ours, "certificates of another system were imported");
    Ok(format!(
        "{}: {certificates} certificates of `{}`, {revoked} of them revoked: {new} are new, {ours} were signed here{remark}",
        foreign.file.display(),
        config.ca.key
    ))
}

/// Lets the store follow a journal that it does not know. Returns a sentence that says so.
pub fn accept_journal(path: &Path, id: &str) -> Result<String, BootError> {
    let config = Config::read(path)?;
    log::start(&config.log);
    let store = own_store(&config)?;
    issuance::accept_journal(&store, id)?;
    tracing::warn!(journal = id, "a journal was accepted: whatever the one before it held beyond the store is lost");
    let directory = config.store.path.display();
    Ok(format!("{directory}: accepted: the store follows journal {id} from its first entry"))
}

/// Builds the indexes of the certificates anew. Returns a sentence that says so.
pub fn reindex(path: &Path) -> Result<String, BootError> {
    let config = Config::read(path)?;
    log::start(&config.log);
    let count = own_store(&config)?.rebuild_indexes()?;
    Ok(format!("{}: {count} certificate(s) were indexed", config.store.path.display()))
}

/// The store, opened by the user who owns it.
fn own_store(config: &Config) -> Result<Store, BootError> {
    let directory = &config.store.path;
    let owner = std::fs::metadata(directory).map_err(|error| unusable(directory, &error))?.uid();
    if owner != geteuid().as_raw() {
        // Files that this process makes must stay in reach of the daemon.
        let owner = User::from_uid(owner.into()).ok().flatten().map_or(owner.to_string(), |user| user.name);
        return Err(BootError::Owner { directory: directory.clone(), owner });
    }
    Ok(Store::new(store::open(engine(config.store.engine), directory)?))
}

/// Runs the daemon until it is told to stop.
pub fn run(path: &Path) -> Result<(), BootError> {
    let mut passed = Passed::take()?;
    let config = Config::read(path)?;
    let filter = log::start(&config.log);
    let material = Material::load(&config)?;

    // 1. Open what will be needed from outside.
    let manager = Manager::connect(std::env::var_os("NOTIFY_SOCKET").as_deref());
    let sockets =
        config.listeners.iter().map(|listener| passed.socket(&listener.address)).collect::<Result<Vec<_>, _>>()?;
    let health_socket = config.health_socket.clone().map(|path| passed.socket(&Address::Unix(path))).transpose()?;
    passed.finish()?;
    make_directory(&config.store.path, config.user.as_deref())?;

    // 2. Give up the rest, before the first thread.
    let mut hardening = confine::process(&rules(&config, path))?;
    for lack in hardening.iter().filter_map(Measure::lack) {
        tracing::warn!(event = "confinement", lack, "not confined");
    }

    // 3. Start threads: the store's, the signers' and the runtime's; then the filter, on all of them.
    let store = Store::new(store::open(engine(config.store.engine), &config.store.path)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let calls = Calls { more: Vec::new(), sockets: Network::Allowed, waived: config.hardening.clone() };
    hardening.push(confine::seccomp(Program::Signetd, &calls)?);

    let opened = Opened { config, path: path.to_owned(), filter, hardening, material, store, sockets, health_socket };
    let outcome = runtime.block_on(serve(opened, &manager));
    // What still runs had its time; a token that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// What was opened before confinement, and what came of that.
struct Opened {
    config: Config,
    path: PathBuf,
    filter: log::Filter,
    hardening: Vec<Measure>,
    material: Material,
    store: Store,
    sockets: Vec<Socket>,
    health_socket: Option<Socket>,
}

async fn serve(opened: Opened, manager: &Manager) -> Result<(), BootError> {
    let Opened { config, path, filter, hardening, material, store, sockets, health_socket } = opened;
    let at_start = config.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ca = Ca::new(Client::new(config.signers.ca.clone(), config.signers.deadline), store.clone());
    let tls_client = Client::new(config.signers.tls.clone(), config.signers.deadline);
    let signer = TlsSigner::new(tls_client, config.tls.key.clone(), &material.chain[0])?;
    let tls_chain = Current::new(material.chain.iter().map(|der| der.to_vec()).collect::<Vec<_>>());
    let key = Current::new(signer.key(material.chain));
    let signer = Current::new(signer);
    let issuer = Current::new(material.issuer);
    let limits = Arc::new(Limits::new(config.rate_limits, config.acme.website.clone(), store.clone()));
    let in_force = InForce { config: at_start.clone(), file: path.clone(), read: clock.now() };
    let random = Random::new(Box::new(SystemEntropy));
    let services = Arc::new(Services {
        acme: config.acme,
        alternate_chains: Current::new(material.alternate_chains),
        ca: ca.clone(),
        calls: Default::default(),
        clock: Arc::clone(&clock),
        config: Current::new(in_force),
        revocation: Desk::new(revocation::Parts {
            ca: ca.clone(),
            clock: Arc::clone(&clock),
            crl: config.crl,
            directory: config.store.path.join("crl"),
            issuer: issuer.clone(),
            issuer_key: config.ca.key.clone(),
            ocsp: config.ocsp,
            profiles: Arc::clone(&material.profiles),
            root: material.root_crl,
            store: store.clone(),
        }),
        hardening,
        issuer,
        issuer_key: config.ca.key,
        limits: Arc::clone(&limits),
        metrics: Metrics::default(),
        notary: Notary::new(config.notary, &random)?,
        profiles: Current::new(material.profiles),
        public_url: config.public_url,
        random,
        retiring: config.ca.retiring,
        root: material.root,
        store,
        tls_chain,
        certmaker: config.certmaker,
        deposits: Default::default(),
        upki: config.upki,
        validation: config.validation,
        vitals: Vitals::default(),
    });
    let speaks_upki = config.listeners.iter().any(|listener| listener.surfaces.contains(&Surface::Upki));
    if speaks_upki && services.upki.certify == Certify::Open {
        tracing::warn!(
            "[upki] certify = \"open\": whoever reaches the listener gets certificates from the profiles that take \
             \"unproven\", without any proof"
        );
    }
    let acme = Acme::start(Arc::clone(&services)).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    stop_on_signals(stop)?;

    let hangups = signal(SignalKind::hangup())?;

    let trusted = [services.root.clone(), services.issuer.now().certificate().to_vec()];
    let in_plain = config
        .listeners
        .iter()
        .zip(&sockets)
        .find(|(listener, _)| listener.transport == Transport::Plain && listener.surfaces.contains(&Surface::Pki))
        .and_then(|(_, socket)| socket.address());
    let endpoint = |listener: &Listener, socket| {
        let terms =
            Terms { client_certificates: listener.client_certificates, oldest: config.tls.oldest, trusted: &trusted };
        let tls = match listener.transport {
            Transport::Plain => None,
            Transport::Tls => Some(Arc::new(tls::server_config(key.clone(), Arc::clone(&clock), &terms)?)),
        };
        tracing::info!(address = %listener.address, "listening");
        Ok(Endpoint { socket, tls, site: http::routes(&services, &acme, &listener.surfaces) })
    };
    let mut endpoints = config
        .listeners
        .iter()
        .zip(sockets)
        .map(|(listener, socket)| endpoint(listener, socket))
        .collect::<Result<Vec<_>, TlsError>>()?;
    endpoints.extend(health_socket.map(|socket| Endpoint { socket, tls: None, site: http::local(&services) }));

    tokio::spawn(ca.follow());
    tokio::spawn(index(services.store.clone()));
    tokio::spawn(Limits::keep(Arc::downgrade(&limits), Arc::clone(&clock)));
    tokio::spawn(Arc::clone(&acme).keep_clean());
    tokio::spawn(Arc::clone(&services).watch_urls());
    services.revocation.start(in_plain);
    first_look(&services, &signer.now()).await?;
    tokio::spawn(watch_signers(Arc::clone(&services), signer.clone()));
    let reload = Reload { path, config: at_start, filter, services: Arc::clone(&services), signer, key };
    manager.say(&format!("READY=1\nSTATUS={}", status(&services)));

    let serving = http::serve(endpoints, Arc::clone(&services), config.limits, stopped.clone());
    tokio::select! {
        () = serving => {}
        () = tell_manager(manager, &services, stopped, hangups, reload) => {}
    }
    // Nothing is served any more: the nonces stay good over an orderly restart.
    if let Err(error) = acme.stop().await {
        tracing::warn!(%error, "the nonces could not be kept: clients will be told to take new ones");
    }
    limits.save(Save::All, clock.now()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Where relying parties get what they need in plain HTTP.
fn plain(listeners: &[Listener]) -> Option<Address> {
    let carries =
        |listener: &&Listener| listener.transport == Transport::Plain && listener.surfaces.contains(&Surface::Pki);
    listeners.iter().find(carries).map(|listener| listener.address.clone())
}

/// Everything that stays in reach after confinement.
fn rules(config: &Config, file: &Path) -> Rules {
    let directory = |path: &Path| path.parent().map(Path::to_owned);
    let sockets = config.listeners.iter().filter_map(|listener| match &listener.address {
        Address::Ip(_) | Address::Passed(_) => None,
        Address::Unix(path) => directory(path),
    });
    let read = [file, &config.tls.chain, &config.ca.issuer, &config.ca.root];
    let others = config.ca.alternate_chains.iter().map(PathBuf::as_path);
    let read = read.into_iter().chain(config.ca.root_crl.as_deref()).chain(others).filter_map(directory);
    let system = ["/etc/hosts", "/etc/resolv.conf", "/run/systemd/journal"].map(PathBuf::from);
    Rules {
        user: config.user.clone(),
        read: read.chain([config.ca.profiles.clone()]).chain(system).collect(),
        write: sockets
            .chain([config.store.path.clone()])
            .chain(directory(&config.signers.ca))
            .chain(directory(&config.signers.tls))
            .chain(config.health_socket.as_deref().and_then(directory))
            .collect(),
        network: Network::Allowed,
        secrets: Secrets::None,
        waived: config.hardening.clone(),
    }
}

fn engine(configured: StoreEngine) -> EngineKind {
    match configured {
        StoreEngine::Sled => EngineKind::Sled,
        StoreEngine::Sqlite => EngineKind::Sqlite,
    }
}

/// The store's directory, for its owner only: the user that this process will become, if it will. It
/// must exist before confinement can name it; one that is there stays as it is.
fn make_directory(path: &Path, user: Option<&str>) -> Result<(), BootError> {
    if path.exists() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path);
    made.map_err(|error| unusable(path, &error))?;
    // A user that does not exist is refused with a sentence when it is to be become.
    if geteuid().is_root()
        && let Some(user) = user.and_then(|name| User::from_name(name).ok().flatten())
    {
        chown(path, Some(user.uid), Some(user.gid)).map_err(|errno| unusable(path, &errno.into()))?;
    }
    Ok(())
}

fn unusable(directory: &Path, error: &std::io::Error) -> BootError {
    StoreError::Engine(format!("{}: {error}", directory.display())).into()
}

/// Builds the indexes that a store of an older version lacks, while everything else goes on.
async fn index(store: Store) {
    match store.index_certificates().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "certificates were indexed"),
        Err(error) => tracing::error!(%error, "certificates cannot be indexed: they are found by walking through all"),
    }
}

fn stop_on_signals(stop: tokio::sync::watch::Sender<bool>) -> Result<(), BootError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop: finishing requests in flight");
        stop.send_replace(true);
        // The receivers live as long as the sender.
        stop.closed().await;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_store_belongs_to_the_user_that_the_process_will_become() {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("a/store");
        let owner = || std::fs::metadata(&store).unwrap().uid();
        make_directory(&store, Some("nobody")).unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap().uid;
        let expected = if geteuid().is_root() { nobody } else { geteuid() };
        assert_eq!(owner(), expected.as_raw());
        // One that is there is somebody's choice.
        make_directory(&store, Some("root")).unwrap();
        assert_eq!(owner(), expected.as_raw());
    }
}
