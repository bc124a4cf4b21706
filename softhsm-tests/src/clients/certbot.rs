//! certbot, of Debian or of PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{External, Proof, Said, interop, run, tell_zone};
use crate::rig::Rig;

/// A certbot, with files of its own.
pub struct Certbot<'a> {
    rig: &'a Rig,
    program: PathBuf,
    directory: PathBuf,
    external: Option<External>,
}

impl<'a> Certbot<'a> {
    /// Debian's certbot, without an account.
    pub fn new(rig: &'a Rig, name: &str) -> Self {
        Self::at(rig, name, Path::new("certbot"))
    }

    /// The certbot of PyPI that `tools/setup test` installed, if PyPI could be reached.
    pub fn later(rig: &'a Rig, name: &str) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/certbot/bin/certbot");
        program.is_file().then(|| Self::at(rig, name, &program))
    }

    fn at(rig: &'a Rig, name: &str, program: &Path) -> Self {
        Self { rig, program: program.to_owned(), directory: rig.directory().join(name), external: None }
    }

    /// The same, with an external account.
    pub fn bound(self, external: External) -> Self {
        Self { external: Some(external), ..self }
    }

    /// `certbot certonly` over http-01.
    pub fn obtain(&self, name: &str) -> Said {
        self.prove(Proof::Http, &["-d", name])
    }

    /// `certbot certonly` with names and what else is to be said; certbot has no tls-alpn-01.
    pub fn prove(&self, proof: Proof, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        command.args(["certonly", "--agree-tos", "--register-unsafely-without-email", "--key-type=ecdsa"]);
        match proof {
            Proof::Dns => {
                tell_zone(self.rig, &mut command);
                command.args(["--manual", "--preferred-challenges=dns"]);
                for flag in ["--manual-auth-hook", "--manual-cleanup-hook"] {
                    command.arg(flag).arg(interop("hooks/certbot"));
                }
            }
            Proof::Http => {
                let port = self.rig.environment.get("SIGNET_HTTP01_PORT");
                command.args(["--standalone", "--http-01-address=127.0.0.1", &format!("--http-01-port={port}")]);
            }
            Proof::TlsAlpn => panic!("certbot has no tls-alpn-01"),
        }
        if let Some(External { kid, hmac }) = &self.external {
            command.args(["--eab-kid", kid, "--eab-hmac-key", hmac]);
        }
        self.run(command.args(arguments))
    }

    /// `certbot renew`, though it is not due.
    pub fn renew(&self) -> Said {
        self.run(Command::new(&self.program).args(["renew", "--force-renewal", "--no-random-sleep-on-renew"]))
    }

    /// `certbot renew`, if it is due.
    pub fn renew_if_due(&self) -> Said {
        self.run(Command::new(&self.program).args(["renew", "--no-random-sleep-on-renew"]))
    }

    /// `certbot revoke` with the account's key; the files stay.
    pub fn revoke(&self, name: &str) -> Said {
        self.run(Command::new(&self.program).args(["revoke", "--cert-name", name]).args(REVOCATION))
    }

    /// `certbot revoke` with the certificate's key; the files stay.
    pub fn revoke_by_key(&self, name: &str) -> Said {
        let live = self.live(name);
        let mut command = Command::new(&self.program);
        command.arg("revoke").arg("--cert-path").arg(live.join("cert.pem"));
        self.run(command.arg("--key-path").arg(live.join("privkey.pem")).args(REVOCATION))
    }

    /// `certbot update_account`
    pub fn update_account(&self, email: &str) -> Said {
        self.run(Command::new(&self.program).args(["update_account", "--email", email]))
    }

    /// `certbot unregister`
    pub fn unregister(&self) -> Said {
        self.run(Command::new(&self.program).arg("unregister"))
    }

    /// The newest certificate and the chain above it.
    pub fn certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.live(name).join("cert.pem"), self.live(name).join("chain.pem"))
    }

    fn live(&self, name: &str) -> PathBuf {
        self.directory.join("live").join(name)
    }

    fn run(&self, command: &mut Command) -> Said {
        command.args(["--non-interactive", "--server", self.rig.environment.get("SIGNET_DIRECTORY")]);
        for (flag, folder) in [("--config-dir", ""), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(flag).arg(self.directory.join(folder));
        }
        run(command.env("REQUESTS_CA_BUNDLE", self.rig.environment.get("SIGNET_CA_FILE")))
    }
}

const REVOCATION: [&str; 3] = ["--reason", "superseded", "--no-delete-after-revoke"];
