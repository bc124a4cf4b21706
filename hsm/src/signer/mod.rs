//! The program: the loop, the request table by seal state, verification, serials, the journal.
//!
//! It starts in steps, so that confinement fits in between (design section 9):
//!
//! ```text
//! let prepared = signer::prepare(config, clock, entropy)?; // sockets, files, journal, identity
//! let hardening = confine::process(&rules)?;               // user, no_new_privs, Landlock
//! let loaded = prepared.load()?;                           // the module, the stored PIN
//! let ended = loaded.serve(hardening, || confine::seccomp(Program::Signer, &calls))?;
//! ```

mod acts;
mod answer;
mod authorities;
pub(crate) mod console;
mod crl;
mod enrolment;
mod issue;
mod keys;
mod lane;
mod listen;
mod messages;
mod ocsp;
pub mod os;
mod profiles;
mod reload;
mod revocation;
pub(crate) mod secrets;
mod serials;
mod server;
mod state;
mod table;
mod unseal;
mod watchdog;

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use policy::effects::{Clock, Entropy, EntropyError};
use policy::key::PublicKey;
use zeroize::Zeroizing;

use crate::client::{self, ClientError};
use crate::config::Config;
use crate::confine::{Measure, fd};
use crate::journal::{Event, Journal, Writer};
use crate::pkcs11::{ErrorClass, LoginError, Pin, Token, TokenConfig};
use crate::seal::{Attempts, DescriptorStore, Invitation, STORED, Supervisor};
use crate::wire::{Purpose, Refusal, Request, Response};

use answer::{Counts, Signer};
use keys::{Configured, KeysError};
use lane::Lane;
use listen::Listener;
use profiles::Profiles;
use reload::Files;
use serials::Serials;
use server::Server;
use state::SealState;
use unseal::NotOpen;
use watchdog::Starting;

/// How long a sealed signer waits at its start for the signer that holds the identity key.
const IDENTITY: Duration = Duration::from_secs(15);

/// Why a signer does not start: one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl From<EntropyError> for StartError {
    fn from(error: EntropyError) -> Self {
        Self(error.to_string())
    }
}

/// Why a signer that served has ended. Everything it acknowledged is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The token or module is beyond help in this process. The supervisor starts a fresh one.
    Restart(String),
    /// It was sealed. The supervisor starts a fresh one, which knows no PIN.
    Sealed,
    /// It was asked to, by SIGTERM or SIGINT.
    Stopped,
}

/// A signer whose sockets, files and notify socket are open. No thread has been started.
pub struct Prepared {
    opening: Opening,
    base: Base,
}

/// What a signer is made of before its module is loaded.
struct Base {
    config: Config,
    clock: Arc<dyn Clock>,
    entropy: Box<dyn Entropy>,
    supervisor: Supervisor,
    writer: Writer,
    attempts: Attempts,
    configured: Vec<Configured>,
    profiles: Profiles,
    store: DescriptorStore,
    listeners: Vec<Listener>,
}

/// How a signer comes up.
enum Opening {
    /// Sealed: it waits for an administrator.
    Invite(Box<Invitation>),
    /// With a PIN from the descriptor store.
    Stored(Pin),
    /// With a PIN from a file.
    Unattended(Pin),
}

/// Opens sockets, files and the notify socket; a signer that comes up sealed also makes its unseal
/// key, and has it signed by the identity key. To be called before any thread is started.
pub fn prepare(config: Config, clock: Arc<dyn Clock>, mut entropy: Box<dyn Entropy>) -> Result<Prepared, StartError> {
    let mut inherited = fd::inherited();
    let supervisor = Supervisor::from_environment()
        .map_err(|error| StartError(format!("systemd's notify socket cannot be connected: {error}")))?;
    let mut writer = Writer::open(&config.state.join("journal"), Arc::clone(&clock), &mut *entropy)
        .map_err(|error| StartError(error.to_string()))?;
    let attempts = Attempts::open(&config.state).map_err(|error| {
        StartError(format!("the file `wrong-pins` in {} cannot be used: {error}", config.state.display()))
    })?;
    let configured = keys::configured(&config.keys)?;
    let profiles = config.profiles.as_deref().map_or_else(|| Ok(Profiles::none()), Profiles::read)?;
    if let Err(error) = profiles.record(&config.state, |event| writer.append(event, "signer", "")) {
        tracing::error!(%error, "a profile could not be journalled");
    }
    let store = take_back(&mut inherited, &supervisor)
        .map_err(|error| StartError(format!("the unseal secret cannot be held in memory: {error}")))?;
    let listeners =
        config.listen.iter().map(|listen| Listener::open(listen, &mut inherited)).collect::<Result<_, _>>()?;
    let opening = opening(&config, &store, &writer, &mut *entropy)?;
    let base = Base { config, clock, entropy, supervisor, writer, attempts, configured, profiles, store, listeners };
    Ok(Prepared { opening, base })
}

/// The unseal secret that systemd kept, or room for one.
fn take_back(inherited: &mut Vec<(String, OwnedFd)>, supervisor: &Supervisor) -> std::io::Result<DescriptorStore> {
    let at = inherited.iter().position(|(name, _)| name == STORED);
    DescriptorStore::new(at.map(|at| inherited.swap_remove(at).1), supervisor)
}

fn opening(
    config: &Config,
    store: &DescriptorStore,
    writer: &Writer,
    entropy: &mut dyn Entropy,
) -> Result<Opening, StartError> {
    if let Some(path) = &config.pin {
        return read_pin(path).map(Opening::Unattended);
    }
    let stored = store.pin().map_err(|error| StartError(format!("the stored PIN cannot be read: {error}")))?;
    if let Some(pin) = stored {
        return Ok(Opening::Stored(pin));
    }
    let identity = config.identity.as_deref().ok_or_else(|| {
        StartError("a signer that starts sealed needs `identity`, or `pin` for an unattended start".to_owned())
    })?;
    let invitation = Invitation::new(writer.id(), entropy, |statement| vouch(identity, statement))?;
    Ok(Opening::Invite(Box::new(invitation)))
}

/// The PIN in a file, without the newline that editors leave.
fn read_pin(path: &Path) -> Result<Pin, StartError> {
    let mut bytes = Zeroizing::new(
        std::fs::read(path)
            .map_err(|error| StartError(format!("the PIN file {} cannot be read: {error}", path.display())))?,
    );
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(StartError(format!("the PIN file {} is empty", path.display())));
    }
    Ok(Pin(bytes))
}

/// Has `statement` signed by the identity key behind the socket at `path`; returns that key and the
/// signature. The other signer may be starting too, so it is asked again for a while.
fn vouch(path: &Path, statement: &[u8]) -> Result<(Vec<u8>, Vec<u8>), StartError> {
    let until = Instant::now() + IDENTITY;
    let failed = |why: &dyn Display| {
        StartError(format!("the identity key behind {} does not vouch for this signer: {why}", path.display()))
    };
    loop {
        let why = match ask_identity(path, statement) {
            Ok((spki, signature)) => {
                let key = PublicKey::from_spki(&spki).map_err(|error| failed(&error))?;
                key.verify(key.certificate_scheme(), statement, &signature).map_err(|error| failed(&error))?;
                return Ok((spki, signature));
            }
            Err(why) => why,
        };
        let passes = matches!(
            why,
            ClientError::Lost
                | ClientError::Unreachable { .. }
                | ClientError::Refused(Refusal::Busy | Refusal::Sealed | Refusal::Token(_))
        );
        if !passes || Instant::now() > until {
            return Err(failed(&why));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn ask_identity(path: &Path, statement: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ClientError> {
    let ask = |request| client::ask_once(path, request, Duration::from_secs(5));
    let spki = match ask(Request::Status)? {
        Response::Status(status) => status.keys.into_iter().find(|key| key.purpose == Purpose::Identity),
        _ => None,
    };
    let spki = spki.ok_or_else(|| Refusal::Forbidden("it serves no identity key".to_owned()))?.spki;
    match ask(Request::Identify { statement: statement.to_vec() })? {
        Response::Signature(signature) => Ok((spki, signature)),
        _ => Err(ClientError::Lost),
    }
}

/// A signer whose module is loaded; unsealed, if it knew a PIN.
pub struct Loaded {
    base: Base,
    token: Token,
    state: SealState,
}

impl Prepared {
    /// Loads the module, finds the token (for a bounded time), and logs in with the PIN that the
    /// descriptor store or a file brought. A stored PIN that the token refuses is wiped, and the
    /// error ends this process: the next one comes up sealed.
    pub fn load(self) -> Result<Loaded, StartError> {
        let Self { opening, mut base } = self;
        let config = &base.config;
        let _starting = Starting::watch(config.deadline)
            .map_err(|error| StartError(format!("the signer's threads cannot be started: {error}")))?;
        let token = Token::open(&token_config(config))
            .map_err(|error| StartError(format!("the token {} cannot be opened: {error}", config.token)))?;
        let unsealed = !matches!(opening, Opening::Invite(_));
        base.note(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned(), unsealed });
        let state = match opening {
            Opening::Invite(invitation) => SealState::Sealed(invitation),
            Opening::Stored(pin) => base.open(&token, &pin, Source::Store)?,
            Opening::Unattended(pin) => base.open(&token, &pin, Source::File)?,
        };
        Ok(Loaded { base, token, state })
    }
}

pub(crate) fn token_config(config: &Config) -> TokenConfig<'_> {
    TokenConfig {
        module: &config.module,
        arguments: config.module_arguments.as_deref(),
        environment: &config.environment,
        uri: &config.token,
        sessions: config.sessions,
        deadline: config.deadline,
    }
}

impl Base {
    /// Logs in at the start. An error ends the process; the next one may do better.
    fn open(&mut self, token: &Token, pin: &Pin, source: Source) -> Result<SealState, StartError> {
        if source == Source::File && self.attempts.was_refused(pin) {
            let note = self.attempts.refused();
            let why = format!(
                "the token refused the PIN in the file before, so it is not tried again: correct the file, or remove {}, and restart the signer",
                note.display()
            );
            return Ok(SealState::Faulted { why });
        }
        let authorities = &self.writer.memory().authorities;
        let error = match unseal::open(token, &self.attempts, (&self.configured, authorities), pin) {
            Ok(keys) => return Ok(SealState::Unsealed(keys.into())),
            Err(error) => error,
        };
        let why = error.to_string();
        self.note(Event::UnsealFailed { why: why.clone() });
        match (&error, source) {
            (NotOpen::Login(LoginError::WrongPin), Source::Store) => {
                if let Err(error) = self.store.wipe(&self.supervisor) {
                    tracing::error!(%error, "the stored PIN could not be overwritten");
                }
                self.supervisor.barrier();
                Err(StartError("the token refused the stored PIN, which is forgotten: unseal again".to_owned()))
            }
            // A restart would show the same wrong PIN to the token until it locks.
            (NotOpen::Login(LoginError::WrongPin), Source::File) => {
                if let Err(error) = self.attempts.remember_refused(pin, &mut *self.entropy) {
                    tracing::error!(%error, "the refused PIN cannot be remembered: a restart will try it again");
                }
                Ok(SealState::Faulted {
                    why: "the token refused the PIN in the file: correct the file and restart the signer".to_owned(),
                })
            }
            (NotOpen::Login(LoginError::Locked) | NotOpen::Keys(KeysError::Mismatch(_) | KeysError::Shared(..)), _) => {
                Ok(SealState::Faulted { why })
            }
            (NotOpen::Login(LoginError::Token(error)) | NotOpen::Keys(KeysError::Token(error)), _)
                if matches!(error.class, ErrorClass::Operator | ErrorClass::Permanent) =>
            {
                Ok(SealState::Faulted { why })
            }
            _ => Err(StartError(why)),
        }
    }

    /// Writes an entry about the start. A journal that cannot be written stops no start: TLS works
    /// without, and signing looks at the journal itself.
    fn note(&mut self, event: Event) {
        if let Err(error) = self.writer.append(event, "signer", "") {
            tracing::error!(%error, "the start could not be journalled");
        }
    }
}

/// Where a PIN at the start comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    File,
    Store,
}

impl Loaded {
    /// Starts the threads, lets `confine` confine them all, and serves until the end. `hardening` and
    /// what `confine` adds is what status shows. The caller exits with the process.
    pub fn serve<E: Display>(
        self,
        mut hardening: Vec<Measure>,
        confine: impl FnOnce() -> Result<Measure, E>,
    ) -> Result<Ended, StartError> {
        let Self { base, token, state } = self;
        let threads = |error: &dyn Display| StartError(format!("the signer's threads cannot be started: {error}"));
        server::signals().thread_block().map_err(|errno| threads(&errno))?;
        let (ended, wait) = mpsc::sync_channel(1);
        let (sessions, deadline) = (base.config.sessions, base.config.deadline);
        let sentence = state.sentence();
        let files = Files::of(&base.config);
        let crl_numbers = Mutex::new(base.writer.memory().numbers.clone());
        let authorities = Mutex::new(base.writer.memory().authorities.clone());
        let signer = Arc::new(Signer {
            name: base.config.name,
            started: base.clock.now(),
            hardening: OnceLock::new(),
            always_open: base.config.pin.is_some(),
            configured: RwLock::new(base.configured.into()),
            sessions: u16::try_from(sessions).unwrap_or(u16::MAX),
            bounds: base.config.bounds,
            profiles: RwLock::new(base.profiles.into()),
            files,
            clock: base.clock,
            entropy: Mutex::new(base.entropy),
            journal: Journal::start(base.writer).map_err(|error| threads(&error))?,
            token,
            state: RwLock::new(state),
            attempts: base.attempts,
            store: base.store,
            supervisor: base.supervisor,
            serials: Mutex::new(Serials::default()),
            crl_numbers,
            authorities,
            authority_desk: Mutex::default(),
            counts: Counts::default(),
            secrets_key: Mutex::new(false),
            lane: Lane::new(sessions),
            ended,
        });
        let server = Arc::new(Server::new(base.listeners).map_err(|errno| threads(&errno))?);
        for number in 0..=sessions {
            let (server, signer) = (Arc::clone(&server), Arc::clone(&signer));
            let work = move || {
                let _guard = EndOnPanic(&signer);
                server.work(&signer);
            };
            spawn(format!("worker-{number}"), work).map_err(|error| threads(&error))?;
        }
        let delivering = Arc::clone(&server);
        spawn("answers".to_owned(), move || delivering.deliver()).map_err(|error| threads(&error))?;
        let watched = Arc::clone(&signer);
        spawn("watchdog".to_owned(), move || watchdog::watch(&watched, deadline)).map_err(|error| threads(&error))?;

        let filter = confine().map_err(|error| StartError(format!("the signer cannot be confined: {error}")))?;
        hardening.push(filter);
        let _ = signer.hardening.set(hardening);
        server.open().map_err(|errno| threads(&errno))?;
        signer.supervisor.tell(&format!("READY=1\nSTATUS={sentence}"));
        tracing::info!(event = "signer_ready", signer = signer.name, state = sentence, "ready");

        let ended = wait.recv().unwrap_or(Ended::Stopped);
        signer.supervisor.tell("STOPPING=1");
        let _ = server.close();
        signer.journal_counts(|| {});
        // What waits is written; what comes later is refused. Nothing is cut off in the middle.
        signer.journal.close();
        tracing::info!(event = "signer_ended", signer = signer.name, ?ended, "ended");
        Ok(ended)
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop)
}

/// Nothing a peer sends makes a worker panic. Should one do it all the same, a process with fewer
/// workers is not left behind.
struct EndOnPanic<'a>(&'a Arc<Signer>);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end(Ended::Restart("a worker panicked".to_owned()));
        }
    }
}
