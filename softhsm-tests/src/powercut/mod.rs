//! Power cuts: what a store has after one, and whether that is all that it had acknowledged.
//!
//! [`rounds`] lets a program of its own write to a store on a [`Disk`], stops it at a random moment,
//! copies what the disk has, and judges the copy. It sees what kill -9 cannot: data that the kernel
//! still had. It does not see a single write torn within, or a disk that lies.

mod disk;
pub mod load;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::store::EngineKind;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};

use crate::programs;
pub use disk::{Disk, MountedCopy};
use load::Acknowledged;

/// Size of the disks, in MiB.
const DISK: u64 = 2048;

/// The longest that a writer is left alone, in milliseconds.
const LONGEST: u64 = 1500;

/// An old store is one to which this many times its size was written.
const REUSE: u64 = 4;

/// How long it may take until a store is old.
const AGING: Duration = Duration::from_secs(240);

/// In what age the power cut meets the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// One store through all the rounds, whose space has been used again.
    Old,
    /// A new disk and a new store in each round.
    Young,
}

/// What fsync does on the writer's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// It says that it was done, and does nothing: what this harness must find.
    Lies,
    /// What it promises.
    Works,
}

/// What the rounds have shown.
#[derive(Debug, Default)]
pub struct Report {
    /// How many there were.
    pub rounds: u32,
    /// Commits that were acknowledged and looked for.
    pub acknowledged: u64,
    /// What was written, as a multiple of the store's size, at the last cut.
    pub reuse: f64,
    /// What was wrong after which round.
    pub failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, acknowledged, reuse, failures } = self;
        write!(f, "{rounds} power cuts, {acknowledged} acknowledged commits, {reuse:.1} x the store's size written, ")?;
        write!(f, "{} failures", failures.len())?;
        failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

/// Why there can be no power cuts on this machine, if so.
pub fn unavailable() -> Option<String> {
    if !geteuid().is_root() {
        return Some("power cuts need root, to mount".to_owned());
    }
    Disk::create(16).err().map(|error| format!("power cuts need ext4 on loop devices, and this fails: {error}"))
}

/// Cuts the power that many times while a store is written to.
pub fn rounds(engine: EngineKind, rounds: u32, age: Age, fsync: Fsync) -> io::Result<Report> {
    let mut report = Report::default();
    let mut running: Option<(Writer, Disk)> = None;
    let mut counted = 0;
    for round in 1..=rounds {
        // The old one's writer goes on; a young one is new. Writers go before their disks.
        let (mut writer, disk) = match running.take().filter(|_| age == Age::Old) {
            Some((mut writer, disk)) => {
                writer.go_on()?;
                (writer, disk)
            }
            None => {
                counted = 0;
                let disk = Disk::create(DISK)?;
                let writer = Writer::start(engine, &disk.path().join("store"), fsync)?;
                (writer, disk)
            }
        };
        let store = disk.path().join("store");
        if age == Age::Old {
            writer.listen_until(Instant::now() + AGING, |writer| writer.reuse(&store) >= REUSE as f64)?;
            if writer.reuse(&store) < REUSE as f64 {
                return Err(io::Error::other("the store does not grow old: its space is not used again"));
            }
        }
        writer.listen_until(Instant::now() + Duration::from_millis(random() % LONGEST), |_| false)?;
        writer.stop()?;
        report.reuse = writer.reuse(&store);
        let copy = disk.snapshot()?;
        let copied = copy.path().join("store");
        let acknowledged = writer.acknowledged.clone();
        report.rounds = round;
        let sum = acknowledged.values().sum();
        report.acknowledged += sum - std::mem::replace(&mut counted, sum);
        // In a thread, so that an engine that panics has failed like one that says so.
        let verdict = std::thread::spawn(move || load::verify(engine, &copied, &acknowledged)).join();
        match verdict {
            Ok(Ok(())) => {}
            Ok(Err(why)) => report.failures.push(format!("round {round}: {why}")),
            Err(panic) => {
                let why = panic.downcast_ref::<String>().map_or("no text", String::as_str);
                report.failures.push(format!("round {round}: the engine panicked: {why}"));
            }
        }
        running = Some((writer, disk));
    }
    Ok(report)
}

/// The program that writes, and what it has said.
struct Writer {
    child: Child,
    said: ChildStdout,
    rest: Vec<u8>,
    acknowledged: Acknowledged,
}

impl Writer {
    fn start(engine: EngineKind, store: &Path, fsync: Fsync) -> io::Result<Self> {
        let mut command = Command::new(programs::directory().join("powercut-writer"));
        command.arg(match engine {
            EngineKind::Sled => "sled",
            EngineKind::Sqlite => "sqlite",
        });
        command.arg(store);
        if fsync == Fsync::Lies {
            command.arg("--fsync-lies");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().ok_or_else(|| io::Error::other("the writer has no output"))?;
        fcntl(&said, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { child, said, rest: Vec::new(), acknowledged: Acknowledged::new() })
    }

    /// Takes note of what it says, until the deadline or until it is enough.
    fn listen_until(&mut self, deadline: Instant, enough: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut next_look = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next_look {
                if enough(self) {
                    return Ok(());
                }
                next_look = now + Duration::from_millis(100);
            }
            let Some(left) = deadline.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return Ok(());
            };
            let wait = left.min(Duration::from_millis(20));
            let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(self.said.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => self.hear()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Stops it and hears what it said before. What it wrote to the pipe was durable by its word.
    fn stop(&mut self) -> io::Result<()> {
        let pid = self.pid();
        kill(pid, Signal::SIGSTOP)?;
        loop {
            match waitpid(pid, Some(WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Stopped(..)) => return self.hear(),
                Ok(other) => return Err(io::Error::other(format!("the writer ended by itself: {other:?}"))),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn go_on(&mut self) -> io::Result<()> {
        Ok(kill(self.pid(), Signal::SIGCONT)?)
    }

    /// Reads all that there is.
    fn hear(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 << 10];
        loop {
            match self.said.read(&mut buffer) {
                Ok(0) => return Err(io::Error::other("the writer ended by itself: its last words are above")),
                Ok(length) => self.rest.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in String::from_utf8_lossy(&self.rest.drain(..whole).collect::<Vec<u8>>()).lines() {
            let word =
                line.split_once(' ').and_then(|(worker, number)| Some((worker.parse().ok()?, number.parse().ok()?)));
            let (worker, number) = word.ok_or_else(|| io::Error::other(format!("the writer says `{line}`")))?;
            self.acknowledged.insert(worker, number);
        }
        Ok(())
    }

    /// What it has written, as a multiple of the store's size.
    fn reuse(&self, store: &Path) -> f64 {
        let counters = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap_or_default();
        let written = counters.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<f64>().ok());
        written.unwrap_or(0.0) / size(store).max(1) as f64
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is an i32"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Octets of the files below a directory; those that go away meanwhile count nothing.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A number that is another one each time; the moment of a power cut cannot be repeated anyway.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
