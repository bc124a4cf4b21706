//! What stands beside a client while it shows control: a web server, a TLS server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::rig::Rig;
use crate::wait::wait_until;

/// Longest wait for a server to listen, on a machine that does much else.
const READY: Duration = Duration::from_secs(20);

/// A program that runs until the value is dropped.
pub(super) struct Background(Child);

impl Background {
    pub(super) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{name}: {error}")))
    }
}

impl Background {
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("a process of ours");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // SIGTERM, so that what has children ends them. It may have ended by itself; then there is
        // nothing to wait for either.
        if let Ok(None) = self.0.try_wait() {
            self.signal(rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// A web server on the rig's http-01 port, for clients that leave their answers in files.
pub struct Web {
    root: PathBuf,
    _server: Background,
}

impl Web {
    /// Serves `site` below `directory`.
    pub fn start(rig: &Rig, directory: &Path) -> Self {
        let root = directory.join("site");
        std::fs::create_dir_all(root.join(".well-known/acme-challenge")).expect("folders");
        let port = rig.environment.get("SIGNET_HTTP01_PORT");
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(&root).arg(port);
        let server = Background::start(&mut command);
        let listens = || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
        wait_until("the web server listens", READY, listens).expect("a web server");
        Self { root, _server: server }
    }

    /// What it serves.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// uacme's TLS server on the rig's tls-alpn-01 port.
pub struct Ualpn {
    /// Where hooks tell it what to show.
    pub socket: PathBuf,
    _server: Background,
}

impl Ualpn {
    /// Keeps its files in `directory`.
    pub fn start(rig: &Rig, directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a folder");
        let socket = directory.join("ualpn.sock");
        let port = rig.environment.get("SIGNET_TLS01_PORT");
        let mut command = Command::new("ualpn");
        command.args(["-4", "-n", "1", "-b", &format!("127.0.0.1@{port}"), "-c", "127.0.0.1@9", "-s"]).arg(&socket);
        let server = Background::start(command.arg("-p").arg(directory.join("ualpn.pid")));
        wait_until("ualpn listens", READY, || socket.exists()).expect("ualpn");
        Self { socket, _server: server }
    }
}
