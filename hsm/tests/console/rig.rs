//! An appliance in a temporary folder, and the programs that look at it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

pub(crate) struct Appliance {
    folder: tempfile::TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Appliance {
    /// An empty folder with PIN files in it.
    pub(crate) fn empty() -> Self {
        let appliance = Self { folder: tempfile::tempdir().unwrap() };
        for (name, pin) in [("root", "root-pin-1"), ("ca", "ca-pin-22"), ("so", "so-pin-333"), ("wrong", "not-the-pin")]
        {
            appliance.secret(&format!("{name}.pin"), pin);
        }
        appliance
    }

    /// An appliance that had its ceremony, with a software key for its administrator.
    pub(crate) fn initialised() -> Self {
        let appliance = Self::empty();
        let said = appliance.init(&["--software-admin-key"]);
        assert_eq!(said.code, 0, "{said:?}");
        appliance
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn secret(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        self.path(name).metadata().unwrap().permissions().mode() & 0o7777
    }

    /// `signet-signer init` with the usual flags and `more`.
    pub(crate) fn init(&self, more: &[&str]) -> Said {
        let arguments = self.arguments(more);
        signer(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// `signet-signer init` with a software key, and with `value` in the place of the usual `flag`.
    pub(crate) fn init_with(&self, flag: &str, value: &str) -> Said {
        let mut arguments = self.arguments(&["--software-admin-key"]);
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        arguments[at + 1] = value.to_owned();
        signer(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let at = |name: &str| self.path(name).display().to_string();
        let mut arguments: Vec<String> = ["init", "--module", SOFTHSM, "--organization", "Example Works"]
            .into_iter()
            .chain(["--host", "ca.example.test", "--host", "127.0.0.1", "--admin", "alice"])
            .map(str::to_owned)
            .collect();
        let places = [("--config-dir", "etc"), ("--state-dir", "var"), ("--run-dir", "run"), ("--bundle", "bundle")];
        let pins = [("--root-pin-file", "root.pin"), ("--ca-pin-file", "ca.pin"), ("--so-pin-file", "so.pin")];
        for (flag, name) in places.into_iter().chain(pins) {
            arguments.extend([flag.to_owned(), at(name)]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    /// A console verb on the CA signer's configuration.
    pub(crate) fn console(&self, verb: &[&str], more: &[&str]) -> Said {
        let config = self.path("etc/signer-ca.toml").display().to_string();
        let arguments: Vec<&str> =
            verb.iter().copied().chain(["--config", &config]).chain(more.iter().copied()).collect();
        signer(&arguments)
    }

    /// Every file below `name` and a digest of its bytes, mode and kind.
    pub(crate) fn tree(&self, name: &str) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                if meta.is_dir() {
                    folders.push(path.clone());
                }
                let bytes = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
                tree.insert(path, (meta.permissions().mode(), bytes));
            }
        }
        tree
    }

    /// A CSR for a new P-256 key.
    pub(crate) fn csr(&self, name: &str) -> String {
        let (key, csr) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.csr")));
        let (key, csr) = (key.to_str().unwrap(), csr.to_str().unwrap());
        let made = openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=ignored",
            "-keyout",
            key,
            "-out",
            csr,
        ]);
        assert_eq!(made.code, 0, "{made:?}");
        csr.to_owned()
    }
}

pub(crate) fn signer(arguments: &[&str]) -> Said {
    said(Command::new(env!("CARGO_BIN_EXE_signet-signer")).args(arguments))
}

pub(crate) fn openssl(arguments: &[&str]) -> Said {
    said(Command::new("openssl").args(arguments))
}

pub(crate) fn said(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said { code: status.code().unwrap_or(-1), out: text(&stdout), err: text(&stderr) }
}

/// A signer that runs until it is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a signer and waits until it says that it is ready.
    pub(crate) fn start(appliance: &Appliance, name: &str) -> Self {
        let config = appliance.path(&format!("etc/signer-{name}.toml"));
        let text = std::fs::read_to_string(&config).unwrap();
        if !text.contains("[hardening]") {
            // Whatever the host that runs the tests lacks, and whoever runs them.
            let waived = "[hardening]\nwithout = [\"landlock\", \"memory\", \"user\"]\n";
            std::fs::write(&config, format!("{text}\n{waived}")).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet-signer"));
        command.arg("run").arg("--config").arg(config).env("RUST_LOG", "info").env_remove("JOURNAL_STREAM");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let running = Self(child);
        let (ready, told) = std::sync::mpsc::channel();
        // The pipe is read to its end, so that the signer never writes into a closed one.
        std::thread::spawn(move || {
            let mut said = Vec::new();
            for line in lines.map_while(Result::ok) {
                if line.contains(" ready ") {
                    let _ = ready.send(());
                }
                said.push(line);
            }
            drop(ready);
            eprintln!("{}", said.join("\n"));
        });
        let told = told.recv_timeout(Duration::from_secs(30));
        assert!(told.is_ok(), "the signer {name} is not ready");
        running
    }

    /// A file of /proc.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Verifies the first certificate of `leaf` the way that strangers do.
pub(crate) fn verifies(root: &Path, issuing: &Path, leaf: &Path, purpose: &str) {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (root, issuing, leaf) = (path(root), path(issuing), path(leaf));
    let said =
        openssl(&["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &root, "-untrusted", &issuing, &leaf]);
    assert_eq!(said.code, 0, "{said:?}");
}
