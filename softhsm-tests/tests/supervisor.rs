//! The supervisor does what systemd does, seen from a service.
//!
//! The service is this test program again: [`fake_service`] does nothing in an ordinary run, and
//! plays the service when the supervisor started it.

use std::collections::BTreeMap;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, kill_process};
use softhsm_tests::supervisor::{self, Health, Service};
use softhsm_tests::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_kept_descriptor_comes_back_after_kill_and_hang_and_only_the_first_is_kept() {
    let rig = Running::start("keep", Some(1000));
    let first = rig.wait("first start", |health| health.status == "nothing was kept");
    assert_eq!(first.kept, ["unseal"], "the second push is dropped");

    signal(&first, Signal::KILL);
    let second = rig.wait("start after a kill", |health| health.status == "kept: secret");
    assert_ne!(second.pid, first.pid);
    assert_eq!(second.last_end.as_deref(), Some("signal 9"));

    signal(&second, Signal::STOP);
    let third = rig.wait("start after a hang", |health| health.restarts == 2 && health.status == "kept: secret");
    assert_eq!(third.last_end.as_deref(), Some("signal 9"), "SIGABRT does not end a stopped process, SIGKILL does");
    assert_eq!(pid_file(&rig), third.pid);
}

#[test]
fn a_removed_descriptor_is_gone_for_the_next_start() {
    let rig = Running::start("remove", None);
    let first = rig.wait("first start", |health| health.status == "nothing was kept");
    assert_eq!(first.kept, Vec::<String>::new());
    signal(&first, Signal::KILL);
    rig.wait("second start", |health| health.restarts == 1 && health.status == "nothing was kept");
}

#[test]
fn a_service_that_ends_is_started_again_and_one_that_is_stopped_is_not() {
    let rig = Running::start("exit", None);
    let again = rig.wait("three starts", |health| health.restarts >= 2);
    assert_eq!(again.last_end.as_deref(), Some("exit code 0"));
    supervisor::stop(rig.directory.path()).expect("stop");
    assert!(supervisor::status(rig.directory.path()).is_err());
    assert!(!rig.pid_path().exists());
}

/// The service. `FAKE` says how it behaves.
#[test]
fn fake_service() {
    let Ok(behaviour) = std::env::var("FAKE") else { return };
    let notify = UnixDatagram::unbound().expect("socket");
    notify.connect(std::env::var("NOTIFY_SOCKET").expect("NOTIFY_SOCKET")).expect("connect");
    let status = match kept() {
        Some(content) => format!("kept: {content}"),
        None => {
            push(&notify, "secret");
            push(&notify, "a second one");
            "nothing was kept".to_owned()
        }
    };
    if behaviour == "remove" {
        notify.send(b"FDSTOREREMOVE=1\nFDNAME=unseal").expect("remove");
    }
    barrier(&notify);
    notify.send(format!("READY=1\nSTATUS={status}").as_bytes()).expect("ready");
    if behaviour == "exit" {
        // Not a return: the test harness of this process must not report a result to anybody.
        std::process::exit(0);
    }
    loop {
        std::thread::sleep(Duration::from_millis(200));
        notify.send(b"WATCHDOG=1").expect("ping");
    }
}

/// The content of the descriptor that was handed back, if it is meant for this process.
fn kept() -> Option<String> {
    let own = std::env::var("LISTEN_PID").ok()? == std::process::id().to_string();
    let unseal = std::env::var("LISTEN_FDS").ok()? == "1" && std::env::var("LISTEN_FDNAMES").ok()? == "unseal";
    assert!(own && unseal);
    let mut content = String::new();
    std::fs::File::open("/dev/fd/3").expect("descriptor 3").read_to_string(&mut content).expect("read");
    Some(content)
}

fn push(notify: &UnixDatagram, content: &str) {
    let mut file = tempfile::tempfile().expect("file");
    file.write_all(content.as_bytes()).expect("write");
    send(notify, b"FDSTORE=1\nFDNAME=unseal", file.as_fd());
}

/// Waits until everything sent so far was acted on.
fn barrier(notify: &UnixDatagram) {
    let (mut here, there) = UnixStream::pair().expect("a pair");
    send(notify, b"BARRIER=1", there.as_fd());
    drop(there);
    assert_eq!(here.read(&mut [0]).expect("wait"), 0);
}

fn send(notify: &UnixDatagram, text: &[u8], descriptor: BorrowedFd<'_>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(notify, &[IoSlice::new(text)], &mut control, SendFlags::empty()).expect("send");
}

/// A supervisor on a thread of this process, and its one service.
struct Running {
    directory: tempfile::TempDir,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Running {
    fn start(behaviour: &str, watchdog_ms: Option<u64>) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let service = Service {
            name: "fake".into(),
            program: std::env::current_exe().expect("own path"),
            arguments: ["fake_service", "--exact", "--nocapture"].map(String::from).into(),
            environment: BTreeMap::from([("FAKE".into(), behaviour.into())]),
            log: directory.path().join("log"),
            pid_file: pid_path(directory.path()),
            watchdog_ms,
            descriptors: 1,
        };
        let run = directory.path().to_owned();
        let thread = std::thread::spawn(move || supervisor::run(vec![service], &run, None));
        Self { directory, thread: Some(thread) }
    }

    fn wait(&self, what: &str, holds: impl Fn(&Health) -> bool) -> Health {
        let health = wait_for(what, PATIENCE, || {
            let health = supervisor::status(self.directory.path()).ok()?.remove(0);
            (health.ready || health.restarts > 0).then_some(health).filter(&holds)
        });
        health.expect("what is waited for")
    }

    fn pid_path(&self) -> PathBuf {
        pid_path(self.directory.path())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = supervisor::stop(self.directory.path());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("supervisor").expect("supervisor");
        }
    }
}

fn pid_path(directory: &Path) -> PathBuf {
    directory.join("pid")
}

fn pid_file(rig: &Running) -> Option<i32> {
    std::fs::read_to_string(rig.pid_path()).ok()?.trim().parse().ok()
}

fn signal(health: &Health, signal: Signal) {
    let pid = health.pid.and_then(Pid::from_raw).expect("a process");
    kill_process(pid, signal).expect("signal");
}
