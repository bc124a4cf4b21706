//! An appliance in a temporary folder whose signers run as systemd would run them.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hsm::client::{Client, ClientError};
use hsm::journal::{Entry, Event};
use hsm::seal::seal_pin;
use hsm::wire::{Actor, Challenge, Refusal, Request, Response, SealStatus, Status, UnsealBox};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use nix::unistd::Pid;

pub(crate) const PIN: &str = "ca-pin-22";
const PROGRAM: &str = env!("CARGO_BIN_EXE_signet-signer");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tokens, configuration and certificates, as the ceremony leaves them.
pub(crate) struct Appliance {
    folder: tempfile::TempDir,
}

/// A signer that runs, and what systemd would know of it.
pub(crate) struct Signer {
    child: Child,
    notify: UnixDatagram,
    /// What the descriptor store holds.
    pub(crate) kept: Option<File>,
}

impl Appliance {
    pub(crate) fn new() -> Self {
        let appliance = Self { folder: tempfile::tempdir().unwrap() };
        for (name, pin) in [("root", "root-pin-1"), ("ca", PIN), ("so", "so-pin-333")] {
            let path = appliance.path(&format!("{name}.pin"));
            fs::write(&path, pin).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::create_dir(appliance.path("run")).unwrap();
        let mut ceremony = Command::new(PROGRAM);
        ceremony.args(["init", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--organization", "Example Works"]);
        ceremony.args(["--host", "ca.example.test", "--admin", "alice", "--software-admin-key"]);
        for (flag, name) in [
            ("--config-dir", "etc"),
            ("--state-dir", "var"),
            ("--run-dir", "run"),
            ("--bundle", "bundle"),
            ("--root-pin-file", "root.pin"),
            ("--ca-pin-file", "ca.pin"),
            ("--so-pin-file", "so.pin"),
        ] {
            ceremony.arg(flag).arg(appliance.path(name));
        }
        let made = ceremony.stdin(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for name in ["ca", "tls"] {
            // Whatever the host that runs the tests lacks, and whoever runs them.
            let waived = "\n[hardening]\nwithout = [\"landlock\", \"memory\", \"user\"]\n";
            let file = File::options().append(true).open(appliance.path(&format!("etc/signer-{name}.toml")));
            file.unwrap().write_all(waived.as_bytes()).unwrap();
        }
        appliance
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a signer and waits until it says that it is ready. `kept` is what the descriptor store
    /// holds.
    pub(crate) fn start(&self, name: &str, kept: Option<File>) -> Signer {
        let mut signer = self.launch(name, kept);
        signer.ready();
        signer
    }

    /// Starts a signer. `kept` is what the descriptor store holds.
    pub(crate) fn launch(&self, name: &str, kept: Option<File>) -> Signer {
        let Some(kept) = kept else { return self.spawn(name, "exec \"$0\" \"$@\"") };
        let path = format!("3<>/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
        let mut signer = self.launch_with(name, "unseal", &path);
        // It is opened again by a process that does not wait for us.
        signer.kept = Some(kept);
        signer
    }

    /// Starts a signer with a descriptor from systemd, called `descriptor`, that the shell makes by
    /// `redirection`.
    pub(crate) fn launch_with(&self, name: &str, descriptor: &str, redirection: &str) -> Signer {
        let environment = format!("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={descriptor}");
        self.spawn(name, &format!("export {environment}; exec \"$0\" \"$@\" {redirection}"))
    }

    /// The shell that runs `script` becomes the signer, so that its process id is known to it before
    /// and descriptor 3 is where systemd would put it.
    fn spawn(&self, name: &str, script: &str) -> Signer {
        let address = self.path(&format!("run/notify-{name}.sock"));
        drop(fs::remove_file(&address));
        let notify = UnixDatagram::bind(&address).unwrap();
        notify.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script, PROGRAM, "run", "--config"]).arg(self.path(&format!("etc/signer-{name}.toml")));
        command.env("NOTIFY_SOCKET", &address).env("RUST_LOG", "info").stdin(Stdio::null());
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Signer { child, notify, kept: None }
    }

    pub(crate) fn client(&self, socket: &str) -> Client {
        Client::new(self.path(&format!("run/{socket}.sock")), Duration::from_secs(20))
    }

    /// What administrators pinned.
    pub(crate) fn pinned(&self) -> [u8; 32] {
        let profile = fs::read_to_string(self.path("bundle/profile.toml")).unwrap();
        let digits = profile.split("identity = \"").nth(1).unwrap().get(..64).unwrap();
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        std::array::from_fn(|at| digit(2 * at))
    }

    /// A box that answers a fresh challenge.
    pub(crate) fn boxed(&self, client: &Client, pin: &str) -> UnsealBox {
        seal_pin(&challenge(client), &self.pinned(), pin.as_bytes()).unwrap()
    }

    pub(crate) fn unseal(&self, client: &Client, pin: &str) -> Result<Response, ClientError> {
        let boxed = self.boxed(client, pin);
        client.call(None, Request::Unseal { boxed, actor: actor() })
    }

    /// The entries of a signer's journal, oldest first.
    pub(crate) fn events(&self, name: &str) -> Vec<Event> {
        let journal = self.path(&format!("var/{name}/journal"));
        let text = fs::read_to_string(journal.join("journal-00000000000000000001.log")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Entry>(&line[65..]).unwrap().event).collect()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap()
    }
}

impl Signer {
    pub(crate) fn ready(&mut self) {
        self.wait_for("READY=1");
    }

    /// Reads what the signer tells until one message holds `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.hear().is_some_and(|message| message.contains(text)) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the signer ended with {status} before it said {text}");
            }
            assert!(Instant::now() < until, "the signer did not say {text}");
        }
    }

    /// One message, if one comes soon, treated as systemd does.
    fn hear(&mut self) -> Option<String> {
        let mut buffer = [0; 2048];
        let mut space = nix::cmsg_space!(RawFd);
        let (bytes, descriptor) = {
            let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<UnixAddr>(self.notify.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
            let descriptor = message.cmsgs().unwrap().find_map(|control| match control {
                ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
                _ => None,
            });
            (message.bytes, descriptor)
        };
        let text = String::from_utf8(buffer[..bytes].to_vec()).unwrap();
        if let Some(descriptor) = descriptor {
            if text.starts_with("FDSTORE=1") && self.kept.is_none() {
                let path = format!("/proc/self/fd/{descriptor}");
                self.kept = Some(File::options().read(true).write(true).open(path).unwrap());
            }
            nix::unistd::close(descriptor).unwrap();
        }
        if text.starts_with("FDSTOREREMOVE=1") {
            self.kept = None;
        }
        Some(text)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the end, hearing what is said until then.
    pub(crate) fn end(mut self) -> (ExitStatus, Option<File>) {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap();
            while self.hear().is_some() {}
            if let Some(status) = ended {
                return (status, self.kept.take());
            }
            assert!(Instant::now() < until, "the signer does not end");
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn actor() -> Actor {
    Actor { who: "admin:alice".to_owned(), request_id: "r-1".to_owned() }
}

pub(crate) fn challenge(client: &Client) -> Challenge {
    match client.call(None, Request::Challenge) {
        Ok(Response::Challenge(challenge)) => challenge,
        other => panic!("no challenge: {other:?}"),
    }
}

pub(crate) fn status(client: &Client) -> Status {
    match client.call(None, Request::Status) {
        Ok(Response::Status(status)) => status,
        other => panic!("no status: {other:?}"),
    }
}

/// Asks until the connection stands again.
pub(crate) fn patiently(client: &Client, request: &Request) -> Result<Response, ClientError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match client.call(None, request.clone()) {
            Err(ClientError::Epoch | ClientError::Lost | ClientError::Unreachable { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answer => return answer,
        }
    }
}

pub(crate) fn sealed(status: &Status) -> bool {
    status.seal == SealStatus::Sealed
}

pub(crate) fn refusal(answer: Result<Response, ClientError>) -> Refusal {
    match answer {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
