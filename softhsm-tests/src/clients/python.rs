//! python-acme, the library that certbot is built on, in a script of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{External, Proof, Said, interop, run};
use crate::rig::Rig;

/// An account of python-acme's, which lives as long as one run of `interop/python-acme.py`.
pub struct PythonAcme<'a> {
    rig: &'a Rig,
    program: PathBuf,
    directory: PathBuf,
}

impl<'a> PythonAcme<'a> {
    /// Debian's library, which is Debian's Python's.
    pub fn new(rig: &'a Rig) -> Self {
        Self::at(rig, Path::new("/usr/bin/python3"))
    }

    /// The library of another Python.
    pub fn at(rig: &'a Rig, program: &Path) -> Self {
        Self { rig, program: program.to_owned(), directory: rig.directory().join("python-acme") }
    }

    /// Takes the steps for a name, one after the other, as methods of the script are named.
    pub fn run(&self, name: &str, proof: Proof, external: Option<&External>, steps: &[&str]) -> Said {
        std::fs::create_dir_all(&self.directory).expect("a folder");
        let environment = &self.rig.environment;
        let mut command = Command::new(&self.program);
        command.arg(interop("python-acme.py")).arg("--folder").arg(&self.directory);
        for (flag, value) in [
            ("--directory", environment.get("SIGNET_DIRECTORY")),
            ("--trust", environment.get("SIGNET_CA_FILE")),
            ("--http-port", environment.get("SIGNET_HTTP01_PORT")),
            ("--tls-port", environment.get("SIGNET_TLS01_PORT")),
            ("--name", name),
            ("--proof", proof.name()),
        ] {
            command.args([flag, value]);
        }
        if let Some(External { kid, hmac }) = external {
            command.args(["--kid", kid, "--hmac", hmac]);
        }
        run(command.args(steps))
    }

    /// The newest certificate and the chain above it.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.directory.join("cert.pem"), self.directory.join("chain.pem"))
    }
}
