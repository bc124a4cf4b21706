//! acme-client of npm, in a script of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{External, Proof, Said, interop, run, tell_zone};
use crate::rig::Rig;

/// An account of acme-client's, which lives as long as one run of `interop/node/client.js`.
pub struct Node<'a> {
    rig: &'a Rig,
    modules: PathBuf,
    directory: PathBuf,
}

impl<'a> Node<'a> {
    /// With the library that `tools/setup interop` installed, if it did.
    pub fn installed(rig: &'a Rig) -> Option<Self> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/node/node_modules");
        let directory = rig.directory().join("node");
        std::fs::create_dir_all(&directory).expect("a folder");
        modules.join("acme-client").is_dir().then_some(Self { rig, modules, directory })
    }

    /// Takes the steps for names, one after the other, as the script names them.
    pub fn run(&self, names: &[&str], proof: Proof, external: Option<&External>, steps: &[&str]) -> Said {
        let mut command = Command::new("node");
        command.arg(interop("node/client.js")).arg(&self.directory).args([proof.name(), &names.join(",")]);
        command.args(steps).env("NODE_PATH", &self.modules).env("DNS_HOOK", interop("hooks/dns"));
        command.env("NODE_EXTRA_CA_CERTS", self.rig.environment.get("SIGNET_CA_FILE"));
        for name in ["SIGNET_DIRECTORY", "SIGNET_HTTP01_PORT", "SIGNET_TLS01_PORT"] {
            command.env(name, self.rig.environment.get(name));
        }
        if let Some(External { kid, hmac }) = external {
            command.env("KID", kid).env("HMAC", hmac);
        }
        tell_zone(self.rig, &mut command);
        run(&mut command)
    }

    /// The newest certificate and the chain above it.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.directory.join("cert.pem"), self.directory.join("chain.pem"))
    }
}
