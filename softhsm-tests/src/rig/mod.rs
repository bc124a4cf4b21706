//! A whole Signet in one directory: tokens, daemons, configuration, and the administrator's files.
//!
//! [`up`] and [`down`] are what the program `rig` does; [`Rig`] is a rig of its own for one test.

mod ceremony;
mod environment;
mod layout;
mod record;
mod settings;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use ceremony::MODULE;
pub use environment::Environment;
pub use layout::Layout;
pub use record::{Clock, Engine, Module, Options, Record, Start, Watchdog};
pub use settings::FAKETIME;

use crate::acme::load::{Load, Plan};
use crate::acme::{self, Responder};
use crate::dns;
use crate::supervisor::{self, Health};
use crate::verify::Verified;
use crate::wait::{wait_for, wait_until};

/// Longest wait for the daemons to be ready, on a machine that does much else.
const READY: Duration = Duration::from_secs(60);
/// Longest wait for a process that was killed to be gone.
const GONE: Duration = Duration::from_secs(30);

/// The services that are ended and stopped, in this order.
const SERVICES: [&str; 3] = ["signetd", "signer-ca", "signer-tls"];

/// One sentence: what is wrong and what to do.
pub type Failure = String;

/// Brings the rig in `layout` up and returns when it is ready; one that runs already is left as it
/// is. `programs` holds the daemons; with an `owner` the rig goes down when that process ends.
pub fn up(layout: &Layout, options: &Options, programs: &Path, owner: Option<u32>) -> Result<(), Failure> {
    if supervisor::status(&layout.run()).is_ok() {
        if Record::load(layout)? != Some(Record::decide(layout, options)?) {
            return Err("this rig runs with other settings: stop it with `rig down` first".into());
        }
        wait_for_health(layout)?;
        return finish(layout, options, programs);
    }
    kill_leftovers(layout)?;
    for program in ["rig", "signet-signer", "signetctl", "signetd"] {
        if !programs.join(program).is_file() {
            return Err(format!("{} has no {program}: run `cargo build --workspace` first", programs.display()));
        }
    }
    let record = Record::decide(layout, options)?;
    if record.clock == Clock::Offset && !Path::new(settings::FAKETIME).is_file() {
        return Err(format!("{} is missing: run `apt-get install libfaketime`", settings::FAKETIME));
    }
    let store = record.store(layout);
    for directory in [&layout.logs(), &layout.run(), store.parent().unwrap_or(layout.directory())] {
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    ceremony::hold(layout, &record, options, programs)?;
    write(&layout.signetd(), &settings::signetd(layout, &record)?)?;
    record.save(layout)?;
    let result = start(layout, programs, owner)
        .and_then(|()| wait_for_ready(layout))
        .and_then(|()| finish(layout, options, programs));
    if result.is_err() {
        // The sentence of the first failure is the one that helps.
        let _ = down(layout);
    }
    result
}

/// Stops everything that `up` started and returns when it is gone. The directory stays.
pub fn down(layout: &Layout) -> Result<(), Failure> {
    // Without a supervisor there is nothing to stop but what one that was killed has left.
    let stopped = supervisor::stop(&layout.run());
    kill_leftovers(layout)?;
    match stopped {
        Err(error) if UnixStream::connect(supervisor::control_socket(&layout.run())).is_ok() => {
            Err(format!("the supervisor does not stop: {error}"))
        }
        _ => Ok(()),
    }
}

/// What the supervisor process does: runs the daemons until it is told to stop.
pub fn supervise(layout: &Layout, programs: &Path, owner: Option<u32>) -> Result<(), Failure> {
    // Ctrl-C is for the program that called `up`.
    rustix::process::setsid().map_err(|error| format!("a session of its own: {error}"))?;
    let record = Record::load(layout)?.ok_or_else(|| format!("{} is missing", layout.record().display()))?;
    if record.own_dns {
        let (udp, tcp) = dns::bind(record.dns).map_err(|error| format!("{}: {error}", record.dns))?;
        dns::serve(dns::Source::File(layout.zone()), udp, tcp);
    }
    let owner = owner.and_then(|pid| i32::try_from(pid).ok());
    let services = settings::services(layout, &record, programs);
    supervisor::run(services, &layout.run(), owner).map_err(|error| error.to_string())
}

/// What `signetd.toml` of such a rig would say.
pub fn example_settings(layout: &Layout, options: &Options) -> String {
    settings::signetd(layout, &Record::decide(layout, options).expect("free ports")).expect("TOML")
}

/// The logs of a rig that are not empty.
pub fn logs(layout: &Layout) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(layout.logs()).into_iter().flatten().flatten();
    let mut logs: Vec<PathBuf> = entries
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0))
        .map(|entry| entry.path())
        .collect();
    logs.sort();
    logs
}

fn start(layout: &Layout, programs: &Path, owner: Option<u32>) -> Result<(), Failure> {
    let log = layout.log("supervisor");
    let fault = |error: std::io::Error| format!("the supervisor cannot be started: {error}");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(fault)?;
    let mut command = Command::new(programs.join("rig"));
    command.arg("supervise").arg("--dir").arg(layout.directory());
    if let Some(owner) = owner {
        command.arg("--owner").arg(owner.to_string());
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(fault)?).stderr(log);
    let mut child = command.spawn().map_err(fault)?;
    write(&layout.pid_file("supervisor"), &format!("{}\n", child.id()))?;
    wait_for("the supervisor answers", GONE, || {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(Err(format!("the supervisor ended with {status}")));
        }
        supervisor::status(&layout.run()).ok().map(|_| Ok(()))
    })??;
    // Whoever ends first, nobody waits for a zombie.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Waits until every service is ready; a service that ends before that is the end of the wait.
fn wait_for_ready(layout: &Layout) -> Result<(), Failure> {
    let mut last = Vec::new();
    let outcome = wait_for("the daemons are ready", READY, || {
        let services = match supervisor::status(&layout.run()) {
            Ok(services) => services,
            Err(error) => return Some(Err(format!("the supervisor is gone: {error}"))),
        };
        if let Some(ended) = services.iter().find(|service| service.restarts > 0 && !service.ready) {
            let how = ended.last_end.clone().unwrap_or_default();
            return Some(Err(format!("{} did not start: {how}", ended.name)));
        }
        let ready = services.iter().all(|service| service.ready);
        last = services;
        ready.then_some(Ok(()))
    });
    outcome.map_err(|error| format!("{error} ({})", waiting(&last)))??;
    wait_for_health(layout)
}

fn waiting(services: &[Health]) -> String {
    let late = services.iter().filter(|service| !service.ready);
    late.map(|service| format!("{}: {}", service.name, service.status)).collect::<Vec<_>>().join(", ")
}

fn wait_for_health(layout: &Layout) -> Result<(), Failure> {
    wait_for("signetd answers on its health socket", READY, || {
        health(layout).ok().filter(|health| health["seal"] != "unreachable")
    })
    .map(|_| ())
}

/// The answer of `/health` on the daemon's unix socket.
pub fn health(layout: &Layout) -> Result<serde_json::Value, Failure> {
    use std::io::{Read, Write};
    let fault = |error: std::io::Error| format!("{}: {error}", layout.health().display());
    let mut stream = UnixStream::connect(layout.health()).map_err(fault)?;
    stream.set_read_timeout(Some(READY)).map_err(fault)?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").map_err(fault)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(fault)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(|error| format!("{}: {error}: {answer}", layout.health().display()))
}

/// Unseals and lets the CA go active if wanted, and leaves `rig.env`.
fn finish(layout: &Layout, options: &Options, programs: &Path) -> Result<(), Failure> {
    let record = Record::load(layout)?.ok_or_else(|| format!("{} is missing", layout.record().display()))?;
    let environment = Environment::of(layout, &record, programs);
    environment.save(&layout.env())?;
    let sealed = || health(layout).map(|health| health["seal"] == "sealed");
    if sealed()? {
        if options.start == Start::Sealed {
            return Ok(());
        }
        unseal(&environment)?;
    }
    activate(layout, &environment)
}

/// Unseals. In its first moments the store has not read in the journal who administers.
fn unseal(environment: &Environment) -> Result<(), Failure> {
    wait_for("the administrator is known", READY, || {
        match environment.signetctl(&["unseal", "--pin-file", environment.get("SIGNET_PIN_FILE")]) {
            Err(why) if why.contains("is not enrolled") => None,
            outcome => Some(outcome.map(drop)),
        }
    })?
}

/// Lets the CA go active if it is unsealed and not active yet: all that its certificates will name is right,
/// or it is a failure. Returns when the daemon is ready.
fn activate(layout: &Layout, environment: &Environment) -> Result<(), Failure> {
    let is_inactive = |health: &serde_json::Value| {
        let reasons = health["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().any(|reason| reason.as_str().is_some_and(|reason| reason.contains("not active yet")))
    };
    let state = wait_for("the daemon is ready but for its activation", READY, || {
        health(layout).ok().filter(|health| health["ready"] == true || is_inactive(health))
    })?;
    if state["ready"] == true {
        return Ok(());
    }
    environment.signetctl(&["ca", "activate", "--wait", &format!("{}s", READY.as_secs())])?;
    wait_until("the daemon is ready", READY, || health(layout).is_ok_and(|health| health["ready"] == true))
}

/// Ends what a supervisor that was killed has left behind: processes named by a pid file whose
/// command line names this rig.
fn kill_leftovers(layout: &Layout) -> Result<(), Failure> {
    for service in SERVICES {
        let file = layout.pid_file(service);
        let pid = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let config = layout.config().display().to_string();
        let is_ours = || {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).split('\0').any(|argument| argument.starts_with(&config))
        };
        if is_ours() {
            // It may have ended between the look and the signal.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            wait_until(&format!("{service} is gone"), GONE, || !is_ours())?;
        }
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    crate::files::replace(path, text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
}

/// A rig of its own for one test, in a directory of its own; it goes down with the value, or with
/// the process.
pub struct Rig {
    directory: tempfile::TempDir,
    /// Where its files lie.
    pub layout: Layout,
    /// What `rig.env` says.
    pub environment: Environment,
    /// How long `up` took.
    pub took: Duration,
}

impl Rig {
    /// Brings a fresh rig up, or panics with what is in the logs.
    pub fn start(options: &Options) -> Self {
        let directory = tempfile::Builder::new().prefix("rig-").tempdir().expect("a temporary directory");
        let layout = Layout::new(directory.path()).expect("a path that a rig can take");
        let programs = crate::programs::directory();
        let started = Instant::now();
        if let Err(failure) = up(&layout, options, &programs, Some(std::process::id())) {
            let logs = crate::rig::logs(&layout);
            let texts = logs.iter().map(|log| format!("{}:\n{}", log.display(), tail(log)));
            panic!("{failure}\n{}", texts.collect::<Vec<_>>().join("\n"));
        }
        let environment = Environment::load(&layout.env()).expect("rig.env");
        Self { directory, layout, environment, took: started.elapsed() }
    }

    /// The process of a service at this moment.
    pub fn pid(&self, service: &str) -> i32 {
        let file = self.layout.pid_file(service);
        wait_for(&format!("{service} runs"), READY, || std::fs::read_to_string(&file).ok()?.trim().parse().ok())
            .expect("a pid file")
    }

    /// Sends a signal to a service.
    pub fn signal(&self, service: &str, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid(service)).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("a process of ours");
    }

    /// Sets the clock that the daemons see so many seconds ahead of the host's, or behind it, with a
    /// step. For a rig with [`Clock::Offset`].
    pub fn set_clock(&self, offset: i64) {
        for service in SERVICES {
            let file = self.layout.clock(service);
            crate::files::replace(&file, format!("{offset:+}\n").as_bytes()).expect("the clock's file");
        }
    }

    /// How the supervisor sees a service.
    pub fn service(&self, name: &str) -> Health {
        let services = supervisor::status(&self.layout.run()).expect("a supervisor");
        services.into_iter().find(|service| service.name == name).expect("a service of the rig")
    }

    /// Waits until the daemon says that certificates can be issued.
    pub fn wait_until_ready(&self) {
        wait_until("the rig is ready", READY, || health(&self.layout).is_ok_and(|health| health["ready"] == true))
            .unwrap_or_else(|error| panic!("{error}: {:?}", health(&self.layout)));
    }

    /// Lets the CA go active once it is unsealed, and waits until it is ready.
    pub fn activate(&self) {
        activate(&self.layout, &self.environment).unwrap_or_else(|error| panic!("{error}: {:?}", health(&self.layout)));
    }

    /// Stops a service, does something, and starts it again; the others run meanwhile.
    pub fn without<T>(&self, service: &str, work: impl FnOnce() -> T) -> T {
        let run = self.layout.run();
        supervisor::hold(&run, service).expect("a supervisor");
        wait_until(&format!("{service} is stopped"), READY, || self.service(service).pid.is_none()).expect("stopped");
        let outcome = work();
        supervisor::go_on(&run, service).expect("a supervisor");
        wait_until(&format!("{service} is ready"), READY, || self.service(service).ready).expect("ready");
        outcome
    }

    /// `clients` that order certificates as fast as they can, and try each step again for a minute
    /// while the service is away.
    pub fn load(&self, clients: usize) -> Load {
        Load::start(&self.plan(clients))
    }

    /// What [`Rig::load`] does. Takes the rig's http-01 port: one plan a rig.
    pub fn plan(&self, clients: usize) -> Plan {
        let environment = &self.environment;
        let port = environment.get("SIGNET_HTTP01_PORT").parse().expect("a port in rig.env");
        Plan {
            directory: environment.get("SIGNET_DIRECTORY").to_owned(),
            tls: acme::tls_config(Path::new(environment.get("SIGNET_CA_FILE"))).expect("a root certificate"),
            responder: Responder::start(port).expect("the http-01 port"),
            clients,
            patience: READY,
        }
    }

    /// Takes the rig down and looks at what it has left, with what clients hold.
    pub fn verify(&self, clients: &[acme::Issued]) -> Verified {
        down(&self.layout).expect("down");
        crate::verify::verify(&self.layout, &self.record(), clients).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// What was decided when it came up.
    pub fn record(&self) -> Record {
        Record::load(&self.layout).expect("rig.json").expect("rig.json")
    }

    /// Stops every process of the rig, its supervisor first, or lets them all go on.
    pub fn signal_all(&self, signal: rustix::process::Signal) {
        let supervisor = self.layout.pid_file("supervisor");
        let pid = std::fs::read_to_string(supervisor).expect("the supervisor's pid").trim().parse().expect("a pid");
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("a pid"), signal).expect("a process");
        for service in SERVICES {
            self.signal(service, signal);
        }
    }

    /// The same rig as it would start after a power cut, with what a disk had then: its store and CA
    /// journal in `disk`, the rest a copy, on other ports. Comes up unsealed, or says why not.
    pub fn twin(&self, disk: &Path) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("rig-").tempdir().map_err(|error| error.to_string())?;
        let layout = Layout::new(directory.path())?;
        let before = self.record();
        let record = before.twin(disk).map_err(|error| error.to_string())?;
        let replaced = [
            (
                before.disk.as_deref().unwrap_or(self.layout.directory()).display().to_string(),
                disk.display().to_string(),
            ),
            (self.layout.directory().display().to_string(), layout.directory().display().to_string()),
            (before.admin.to_string(), record.admin.to_string()),
        ];
        for part in [self.layout.config(), self.layout.state(), self.layout.bundle(), self.layout.pin("")] {
            let to = layout.directory().join(part.strip_prefix(self.layout.directory()).unwrap_or(&part));
            ceremony::copy(&part, &to).map_err(|error| format!("{}: {error}", part.display()))?;
        }
        let settings = ["signer-ca.toml", "signer-tls.toml", "softhsm-ca.conf", "softhsm-tls.conf"];
        let settings = settings.map(|file| layout.config().join(file));
        for file in settings.iter().chain([&layout.bundle().join("profile.toml")]) {
            let mut text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            for (old, new) in &replaced {
                text = text.replace(old, new);
            }
            write(file, &text)?;
        }
        record.save(&layout)?;
        let options = Options { watchdog: record.watchdog, ..Options::default() };
        let started = Instant::now();
        let mut rig = Self { directory, layout, environment: self.environment.clone(), took: Duration::ZERO };
        up(&rig.layout, &options, &crate::programs::directory(), Some(std::process::id()))?;
        rig.environment = Environment::load(&rig.layout.env())?;
        rig.took = started.elapsed();
        Ok(rig)
    }

    /// Brings the rig up again after [`down`].
    pub fn up(&self, options: &Options) {
        up(&self.layout, options, &crate::programs::directory(), Some(std::process::id())).expect("up");
    }

    /// The temporary directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in logs(&self.layout) {
                eprintln!("{}:\n{}", log.display(), tail(&log));
            }
        }
        if let Err(error) = down(&self.layout) {
            eprintln!("{error}");
        }
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    const LINES: usize = 25;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
