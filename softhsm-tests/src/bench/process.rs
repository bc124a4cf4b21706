//! What a process has used: CPU, memory, and syncs to disk.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Line;
use crate::rig::{Failure, Rig};
use crate::wait::wait_until;

/// Every daemon of a rig.
pub const ALL: [&str; 3] = ["signetd", "signer-ca", "signer-tls"];
/// Clock ticks a second that /proc counts in; fixed on Linux.
const TICKS: u64 = 100;

/// CPU that the services have used since they started, threads that ended included.
pub fn cpu(rig: &Rig, services: &[&str]) -> Duration {
    let ticks: u64 = services.iter().map(|service| cpu_ticks(rig.pid(service))).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Memory that the services have for themselves at this moment, in bytes: not what of a file is mapped.
pub fn resident(rig: &Rig, services: &[&str]) -> u64 {
    services.iter().map(|service| anonymous(rig.pid(service))).sum()
}

/// Looks at the memory of services, again and again, while it lives.
pub struct Peaks {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<u64>,
}

impl Peaks {
    /// Looks from now on, every few milliseconds.
    pub fn start(rig: &Rig, services: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pids) = (Arc::clone(&stop), services.iter().map(|service| rig.pid(service)).collect::<Vec<_>>());
        let looking = std::thread::spawn(move || {
            let mut highest = 0;
            while !stopped.load(Ordering::Relaxed) {
                highest = highest.max(pids.iter().map(|pid| anonymous(*pid)).sum());
                std::thread::sleep(Duration::from_millis(5));
            }
            highest
        });
        Self { stop, looking }
    }

    /// The most that was seen, in bytes.
    pub fn highest(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.join().unwrap_or(0)
    }
}

fn anonymous(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default().trim();
    line.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

pub(super) fn idle_memory(rig: &Rig) -> Line {
    let kilobytes = |service: &&str| {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", rig.pid(service))).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default().trim();
        line.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    let each: Vec<u64> = ALL.iter().map(kilobytes).collect();
    let text = format!("{} MB ({:?} kB)", each.iter().sum::<u64>() / 1024, each);
    Line::new("idle memory of all processes", text, "< 50 MB")
}

/// Counts calls that sync to disk while it lives.
pub(super) struct Syncs {
    strace: Child,
    report: PathBuf,
}

impl Syncs {
    pub(super) fn start(rig: &Rig) -> Result<Self, Failure> {
        let report = rig.directory().join("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-o"]).arg(&report);
        for service in ALL {
            command.arg("-p").arg(rig.pid(service).to_string());
        }
        let strace = command.stderr(Stdio::null()).spawn().map_err(|error| format!("strace: {error}"))?;
        let traced = |service: &str| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", rig.pid(service))).unwrap_or_default();
            status.lines().any(|line| line == format!("TracerPid:\t{}", strace.id()))
        };
        wait_until("strace traces the daemons", Duration::from_secs(10), || ALL.iter().all(|service| traced(service)))?;
        Ok(Self { strace, report })
    }

    pub(super) fn stop(mut self) -> Result<u64, Failure> {
        let pid = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw).ok_or("strace is gone")?;
        kill_process(pid, Signal::INT).map_err(|error| format!("strace: {error}"))?;
        self.strace.wait().map_err(|error| format!("strace: {error}"))?;
        let report = std::fs::read_to_string(&self.report).map_err(|error| format!("strace: {error}"))?;
        // A call that another thread interrupts is written as two lines.
        let calls = report.lines().filter(|line| line.contains("sync(") && !line.contains("resumed>"));
        Ok(calls.count() as u64)
    }
}
