//! One service as systemd would run it: Type=notify, Restart=always, a watchdog, a descriptor store.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::notify::{Message, Notice, NotifySocket};

/// RestartSec=
pub(crate) const RESTART_DELAY: Duration = Duration::from_millis(100);
/// TimeoutStartSec=
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// TimeoutStopSec=
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// TimeoutAbortSec=: from SIGABRT to SIGKILL when the watchdog was missed.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// What to run, and how: the part of a unit file that matters here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Short name: `signer-ca`.
    pub name: String,
    /// ExecStart=: the program.
    pub program: PathBuf,
    /// ExecStart=: its arguments.
    pub arguments: Vec<String>,
    /// Environment=
    pub environment: BTreeMap<String, String>,
    /// Where stdout and stderr go; appended to.
    pub log: PathBuf,
    /// Holds the pid while a process runs.
    pub pid_file: PathBuf,
    /// WatchdogSec=, in milliseconds; none turns the watchdog off.
    pub watchdog_ms: Option<u64>,
    /// FileDescriptorStoreMax=
    pub descriptors: usize,
}

/// How one service is doing, for people and for `up`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The service's name.
    pub name: String,
    /// Its process, if one runs.
    pub pid: Option<i32>,
    /// Whether that process has said READY=1.
    pub ready: bool,
    /// How long it took from its start to that, in microseconds.
    pub ready_after: u64,
    /// How many processes have ended so far.
    pub restarts: u32,
    /// Its last STATUS= line.
    pub status: String,
    /// How the last process ended.
    pub last_end: Option<String>,
    /// Names of the descriptors that are kept.
    pub kept: Vec<String>,
}

/// A service, and its process if one runs.
pub(crate) struct Unit {
    service: Service,
    socket: NotifySocket,
    socket_path: PathBuf,
    state: State,
    store: Vec<(String, OwnedFd)>,
    ready: bool,
    health: Health,
}

enum State {
    /// To be started at that time.
    Waiting(Instant),
    Running {
        process: Process,
        /// When READY=1, then WATCHDOG=1, must have come.
        due: Option<Instant>,
    },
    /// Told to end; killed at that time.
    Ending {
        process: Process,
        kill_at: Instant,
        then: Then,
    },
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Restart,
    Stop,
}

struct Process {
    child: Child,
    pidfd: OwnedFd,
    started: Instant,
}

impl Unit {
    /// A unit that has not been started. Its notify socket lives in `directory`.
    pub(crate) fn new(service: Service, directory: &Path) -> std::io::Result<Self> {
        let socket_path = directory.join(format!("notify-{}", service.name));
        let socket = NotifySocket::bind(&socket_path)?;
        let health = Health { name: service.name.clone(), ..Health::default() };
        Ok(Self { service, socket, socket_path, state: State::Stopped, store: Vec::new(), ready: false, health })
    }

    pub(crate) fn name(&self) -> &str {
        &self.service.name
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Readable when the process has ended.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Running { process, .. } | State::Ending { process, .. } => Some(process.pidfd.as_fd()),
            State::Waiting(_) | State::Stopped => None,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// Whether the first start has come to a result, so that units ordered after this one may start.
    pub(crate) fn is_settled(&self) -> bool {
        self.ready || self.health.restarts > 0
    }

    /// When [`Unit::tick`] has something to do next.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(at) | State::Ending { kill_at: at, .. } => Some(*at),
            State::Running { due, .. } => *due,
            State::Stopped => None,
        }
    }

    pub(crate) fn health(&self) -> Health {
        let kept = self.store.iter().map(|(name, _)| name.clone()).collect();
        Health { ready: self.ready, kept, ..self.health.clone() }
    }

    /// Starts at the next tick.
    pub(crate) fn start(&mut self) {
        if self.is_stopped() {
            self.state = State::Waiting(Instant::now());
        }
    }

    /// `systemctl stop`: SIGTERM, then SIGKILL; the descriptor store is closed.
    pub(crate) fn stop(&mut self) {
        self.store.clear();
        self.state = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Running { process, .. } => {
                process.signal(Signal::TERM);
                State::Ending { process, kill_at: Instant::now() + STOP_TIMEOUT, then: Then::Stop }
            }
            State::Ending { process, kill_at, .. } => State::Ending { process, kill_at, then: Then::Stop },
            State::Waiting(_) | State::Stopped => State::Stopped,
        };
    }

    /// Acts on what has become due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.next_tick().is_none_or(|at| now < at) {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Waiting(_) => self.spawn(now),
            State::Running { process, .. } => {
                self.note(if self.ready { "missed its watchdog" } else { "did not become ready in time" });
                process.signal(Signal::ABORT);
                State::Ending { process, kill_at: now + ABORT_TIMEOUT, then: Then::Restart }
            }
            State::Ending { process, then, .. } => {
                process.signal(Signal::KILL);
                // Only a process in uninterruptible sleep outlives this; look again later.
                State::Ending { process, kill_at: now + STOP_TIMEOUT, then }
            }
            State::Stopped => State::Stopped,
        };
    }

    /// Collects the process if it has ended.
    pub(crate) fn reap(&mut self, now: Instant) -> std::io::Result<()> {
        let (process, then) = match &mut self.state {
            State::Running { process, .. } => (process, Then::Restart),
            State::Ending { process, then, .. } => (process, *then),
            State::Waiting(_) | State::Stopped => return Ok(()),
        };
        let Some(status) = process.child.try_wait()? else { return Ok(()) };
        // What the process said before it ended counts: a descriptor pushed just before a crash is kept.
        while let Some(message) = self.socket.receive()? {
            self.act(message);
        }
        let end = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        };
        self.note(&format!("ended: {end}"));
        let _ = std::fs::remove_file(&self.service.pid_file);
        self.ready = false;
        self.health.pid = None;
        self.health.restarts += 1;
        self.health.last_end = Some(end);
        self.state = match then {
            Then::Restart => State::Waiting(now + RESTART_DELAY),
            Then::Stop => State::Stopped,
        };
        Ok(())
    }

    /// Reads and acts on every message that is waiting.
    pub(crate) fn listen(&mut self) -> std::io::Result<()> {
        while let Some(message) = self.socket.receive()? {
            // NotifyAccess=main. A message of an earlier process whose successor runs is dropped too.
            if message.pid == self.health.pid {
                self.act(message);
            }
        }
        Ok(())
    }

    fn act(&mut self, message: Message) {
        let mut descriptors = message.descriptors;
        for notice in message.notices {
            match notice {
                Notice::Keep(name) => {
                    for descriptor in descriptors.drain(..) {
                        if self.store.len() < self.service.descriptors {
                            self.store.push((name.clone(), descriptor));
                        } else {
                            self.note("descriptor store is full, a descriptor was dropped");
                        }
                    }
                }
                Notice::Remove(name) => self.store.retain(|(kept, _)| *kept != name),
                Notice::Ready => {
                    if let (State::Running { process, .. }, false) = (&self.state, self.ready) {
                        self.health.ready_after = u64::try_from(process.started.elapsed().as_micros()).unwrap_or(0);
                    }
                    self.ready = true;
                    self.feed_watchdog();
                }
                Notice::Watchdog => self.feed_watchdog(),
                Notice::Status(status) => self.health.status = status,
                Notice::Reloading | Notice::Stopping => self.health.status = format!("{notice:?}").to_lowercase(),
            }
        }
    }

    fn feed_watchdog(&mut self) {
        if let State::Running { due, .. } = &mut self.state {
            *due = self.service.watchdog_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        }
    }

    fn spawn(&mut self, now: Instant) -> State {
        match self.try_spawn() {
            Ok(process) => {
                let pid = process.child.id() as i32;
                self.health.pid = Some(pid);
                self.health.status.clear();
                if let Err(error) = crate::files::replace(&self.service.pid_file, format!("{pid}\n").as_bytes()) {
                    self.note(&format!("its pid file cannot be written: {error}"));
                }
                State::Running { process, due: Some(now + START_TIMEOUT) }
            }
            Err(error) => {
                self.health.restarts += 1;
                self.health.last_end = Some(format!("{} cannot be started: {error}", self.service.program.display()));
                State::Waiting(now + RESTART_DELAY)
            }
        }
    }

    fn try_spawn(&self) -> std::io::Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&self.service.log)?;
        let mut command = match self.store.first() {
            None => Command::new(&self.service.program),
            // A process learns of what was kept by LISTEN_FDS, from descriptor 3 on, and by
            // LISTEN_PID, which only the process itself knows: hence the shell. The descriptor comes
            // in as standard input, which needs nothing between fork and exec.
            Some((name, descriptor)) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .arg("-c")
                    .arg(r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ exec "$0" "$@""#)
                    .arg(&self.service.program);
                shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
                shell.stdin(Stdio::from(descriptor.try_clone()?));
                shell
            }
        };
        if self.store.is_empty() {
            command.stdin(Stdio::null());
        }
        command
            .args(&self.service.arguments)
            .envs(&self.service.environment)
            .env("NOTIFY_SOCKET", &self.socket_path)
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(ms) = self.service.watchdog_ms {
            command.env("WATCHDOG_USEC", (ms * 1000).to_string());
        }
        let started = Instant::now();
        let mut child = command.spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Process { child, pidfd, started }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    fn note(&self, what: &str) {
        eprintln!("{}: {what}", self.service.name);
    }
}

impl Process {
    /// The process may have ended meanwhile; then there is nothing to signal.
    fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }
}
