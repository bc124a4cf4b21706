//! Where everything of one rig lies. The ceremony's names are its own (`hsm::ceremony::Layout`).

use std::path::{Path, PathBuf};

/// The directory of one rig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(PathBuf);

/// Linux gives a unix socket's path 108 octets, with a zero at the end; the longest name of ours
/// takes this many.
const LONGEST_SOCKET: usize = "/run/notify-signer-tls".len();
const SOCKET_PATH: usize = 107;

impl Layout {
    /// The rig in `directory`, which is made if it is not there.
    pub fn new(directory: &Path) -> Result<Self, String> {
        let fault = |error| format!("{}: {error}", directory.display());
        std::fs::create_dir_all(directory).map_err(fault)?;
        let path = directory.canonicalize().map_err(fault)?;
        let text = path.to_str().ok_or_else(|| format!("{}: use a path in UTF-8", directory.display()))?;
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte)) {
            return Err(format!("{text}: rig.env must need no quoting, use a path of letters, digits and `/._-+@`"));
        }
        if text.len() + LONGEST_SOCKET > SOCKET_PATH {
            return Err(format!("{text}: the path is too long for unix sockets below it, use a shorter one"));
        }
        Ok(Self(path))
    }

    /// A rig that exists nowhere.
    pub fn example() -> Self {
        Self(PathBuf::from("/rig"))
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// What `up` was asked for, and the services it runs.
    pub fn record(&self) -> PathBuf {
        self.0.join("rig.json")
    }

    /// For shells.
    pub fn env(&self) -> PathBuf {
        self.0.join("rig.env")
    }

    /// The ceremony's configuration, and `signetd.toml`.
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Configuration of `signetd`.
    pub fn signetd(&self) -> PathBuf {
        self.config().join("signetd.toml")
    }

    /// Configuration of a signer.
    pub fn signer(&self, name: &str) -> PathBuf {
        self.config().join(format!("signer-{name}.toml"))
    }

    /// A certificate that the ceremony published.
    pub fn certificate(&self, file: &str) -> PathBuf {
        self.config().join("ca").join(file)
    }

    /// Journals and tokens, a directory for each signer.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// The token directory of a signer.
    pub fn token(&self, name: &str) -> PathBuf {
        self.state().join(name).join("tokens")
    }

    /// What the module that counts calls is told.
    pub fn faults(&self) -> PathBuf {
        self.0.join("faults").join("control")
    }

    /// The calls that it counted, a line each.
    pub fn calls(&self) -> PathBuf {
        self.0.join("faults").join("control.log")
    }

    /// What the rig's own resolver answers, line by line; made by whoever wants to say it.
    pub fn zone(&self) -> PathBuf {
        self.0.join("dns.zone")
    }

    /// The daemon's records.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Sockets and pid files.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// How far the clock that a service sees is off, as libfaketime reads it: where its confinement lets
    /// it read.
    pub fn clock(&self, service: &str) -> PathBuf {
        match service.strip_prefix("signer-") {
            Some(name) => self.state().join(name).join("clock"),
            None => self.run().join("clock"),
        }
    }

    /// The daemon's health socket.
    pub fn health(&self) -> PathBuf {
        self.run().join("health.sock")
    }

    /// Holds the pid of a service.
    pub fn pid_file(&self, service: &str) -> PathBuf {
        self.run().join(format!("{service}.pid"))
    }

    /// What the administrator takes away.
    pub fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }

    /// PIN files.
    pub fn pin(&self, name: &str) -> PathBuf {
        self.0.join("pins").join(name)
    }

    /// Logs.
    pub fn logs(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Log of a service.
    pub fn log(&self, service: &str) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_or_a_socket_cannot_take_is_refused() {
        let place = tempfile::tempdir().expect("directory");
        assert!(Layout::new(&place.path().join("good-1.d")).is_ok());
        assert!(Layout::new(&place.path().join("two words")).is_err());
        assert!(Layout::new(&place.path().join("x".repeat(100))).is_err());
    }
}
