//! Runs the rig's daemons as systemd would, in one process and one thread.
//!
//! What is imitated is what Signet relies on: Type=notify, Restart=always with RestartSec=100ms, the
//! watchdog (SIGABRT, then SIGKILL), and the descriptor store. Services start in the order they are
//! listed, each when the one before it is ready.

mod notify;
mod unit;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use unit::Unit;
pub use unit::{Health, Service};

/// Longest wait for one line on the control socket.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for every service to have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// Where the supervisor of the rig whose sockets are in `run` listens.
pub fn control_socket(run: &Path) -> PathBuf {
    run.join("supervisor")
}

/// Runs `services` until it is told to stop, or until the process `owner` has ended.
pub fn run(services: Vec<Service>, run: &Path, owner: Option<i32>) -> std::io::Result<()> {
    let owner = owner.and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose()?;
    let units = services.into_iter().map(|service| Unit::new(service, run)).collect::<Result<_, _>>()?;
    let path = control_socket(run);
    let _ = std::fs::remove_file(&path);
    let control = UnixListener::bind(&path)?;
    control.set_nonblocking(true)?;
    let outcome = Supervisor {
        units,
        control,
        path: path.clone(),
        owner,
        waiting: Vec::new(),
        stopping: false,
        held: BTreeSet::new(),
    }
    .run();
    let _ = std::fs::remove_file(path);
    outcome
}

/// How the services are doing. Fails if no supervisor runs there.
pub fn status(run: &Path) -> std::io::Result<Vec<Health>> {
    let answer = ask(run, "status", CONTROL_TIMEOUT)?;
    serde_json::from_str(&answer).map_err(std::io::Error::other)
}

/// Stops every service and the supervisor; returns when they are gone.
pub fn stop(run: &Path) -> std::io::Result<()> {
    let answer = ask(run, "stop", STOP_TIMEOUT)?;
    if answer == "stopped" { Ok(()) } else { Err(std::io::Error::other("the supervisor ended before its services")) }
}

/// Stops one service until [`go_on`] names it; the others run.
pub fn hold(run: &Path, name: &str) -> std::io::Result<()> {
    ask(run, &format!("hold {name}"), CONTROL_TIMEOUT).map(drop)
}

/// Lets a service run again that was held.
pub fn go_on(run: &Path, name: &str) -> std::io::Result<()> {
    ask(run, &format!("go-on {name}"), CONTROL_TIMEOUT).map(drop)
}

fn ask(run: &Path, what: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(control_socket(run))?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{what}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

struct Supervisor {
    units: Vec<Unit>,
    control: UnixListener,
    path: PathBuf,
    owner: Option<OwnedFd>,
    /// Who asked for the stop, and is told when it is done.
    waiting: Vec<UnixStream>,
    stopping: bool,
    /// Services that are to be stopped.
    held: BTreeSet<String>,
}

impl Supervisor {
    fn run(mut self) -> std::io::Result<()> {
        loop {
            self.advance()?;
            if self.stopping && self.units.iter().all(Unit::is_stopped) {
                for mut stream in self.waiting.drain(..) {
                    let _ = stream.write_all(b"stopped\n");
                }
                return Ok(());
            }
            // Nobody can stop a rig whose directory was removed: it stops by itself. A ping of a
            // watchdog, at the latest, is when this is looked at.
            if self.wait()? || !self.path.exists() {
                self.stopping = true;
            }
            while let Some(stream) = self.accept()? {
                if let Err(error) = self.serve(stream) {
                    eprintln!("control: {error}");
                }
            }
        }
    }

    /// Lets every unit act on what has happened.
    fn advance(&mut self) -> std::io::Result<()> {
        let now = Instant::now();
        let mut may_start = !self.stopping;
        for unit in &mut self.units {
            unit.listen()?;
            unit.reap(now)?;
            if self.stopping || self.held.contains(unit.name()) {
                unit.stop();
            } else if may_start {
                unit.start();
            }
            unit.tick(now);
            may_start &= unit.is_settled();
        }
        Ok(())
    }

    /// Sleeps until something happens. Says whether the owner has ended.
    fn wait(&self) -> std::io::Result<bool> {
        let mut watched = vec![PollFd::new(&self.control, PollFlags::IN)];
        let owner = self.owner.as_ref().filter(|_| !self.stopping);
        watched.extend(owner.map(|owner| PollFd::new(owner, PollFlags::IN)));
        let sockets = self.units.iter().map(Unit::socket);
        let processes = self.units.iter().filter_map(Unit::pidfd);
        let descriptors: Vec<_> = sockets.chain(processes).collect();
        watched.extend(descriptors.iter().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));

        let next = self.units.iter().filter_map(Unit::next_tick).min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|duration| Timespec::try_from(duration).ok());
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(owner.is_some() && !watched[1].revents().is_empty())
    }

    fn accept(&self) -> std::io::Result<Option<UnixStream>> {
        match self.control.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn serve(&mut self, mut stream: UnixStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(CONTROL_TIMEOUT))?;
        let mut line = String::new();
        BufReader::new(stream.as_fd().try_clone_to_owned().map(UnixStream::from)?).read_line(&mut line)?;
        match line.trim_end() {
            "status" => {
                let health: Vec<Health> = self.units.iter().map(Unit::health).collect();
                let mut answer = serde_json::to_vec(&health)?;
                answer.push(b'\n');
                stream.write_all(&answer)
            }
            "stop" => {
                self.stopping = true;
                self.waiting.push(stream);
                Ok(())
            }
            line if line.starts_with("hold ") => {
                self.held.insert(line["hold ".len()..].to_owned());
                stream.write_all(b"held\n")
            }
            line if line.starts_with("go-on ") => {
                self.held.remove(&line["go-on ".len()..]);
                stream.write_all(b"goes on\n")
            }
            other => stream.write_all(format!("unknown request `{other}`\n").as_bytes()),
        }
    }
}
