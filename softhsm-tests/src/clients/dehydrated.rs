//! dehydrated, a shell script.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{External, Proof, Said, interop, run, tell_zone};
use crate::rig::Rig;

/// A dehydrated, with files of its own.
pub struct Dehydrated<'a> {
    rig: &'a Rig,
    directory: PathBuf,
}

impl<'a> Dehydrated<'a> {
    /// Without an account; over http-01 it leaves its answers below `site` ([`super::Web::root`]).
    pub fn new(rig: &'a Rig, site: &Path) -> Self {
        Self::write(rig, site, None)
    }

    /// The same, with an external account.
    pub fn bound(rig: &'a Rig, site: &Path, external: &External) -> Self {
        Self::write(rig, site, Some(external))
    }

    fn write(rig: &'a Rig, site: &Path, external: Option<&External>) -> Self {
        let directory = rig.directory().join("dehydrated");
        std::fs::create_dir_all(&directory).expect("a folder");
        let mut text = format!(
            "CA={}\nCURL_OPTS=\"--cacert {}\"\nWELLKNOWN={}\nBASEDIR={}\nKEY_ALGO=prime256v1\nHOOK={}\n\
             ALPNCERTDIR={}\nCONTACT_EMAIL=admin@example.test\n",
            rig.environment.get("SIGNET_DIRECTORY"),
            rig.environment.get("SIGNET_CA_FILE"),
            site.join(".well-known/acme-challenge").display(),
            directory.display(),
            interop("hooks/dehydrated").display(),
            directory.join("alpn").display(),
        );
        if let Some(External { kid, hmac }) = external {
            text += &format!("EAB_KID={kid}\nEAB_HMAC_KEY={hmac}\n");
        }
        std::fs::write(directory.join("config"), text).expect("a file");
        Self { rig, directory }
    }

    /// `dehydrated --register`
    pub fn register(&self) -> Said {
        self.run(Command::new("dehydrated").args(["--register", "--accept-terms"]))
    }

    /// `dehydrated --cron`, whether it is due or not.
    pub fn obtain(&self, names: &[&str], proof: Proof) -> Said {
        let mut command = Command::new("dehydrated");
        command.args(["--cron", "--force", "--challenge", proof.name(), "--domain", &names.join(" ")]);
        // A wildcard has no folder by itself.
        command.args(["--alias", ALIAS]).env("DEHYDRATED_PROOF", proof.name());
        tell_zone(self.rig, &mut command);
        command.env("TLS_PORT", self.rig.environment.get("SIGNET_TLS01_PORT"));
        self.run(command.env("ALPN", self.directory.join("alpn")))
    }

    /// `dehydrated --revoke`
    pub fn revoke(&self) -> Said {
        self.run(Command::new("dehydrated").arg("--revoke").arg(self.certificate().0))
    }

    /// `dehydrated --account`: contacts as configured, after they changed to `email`.
    pub fn update_account(&self, email: &str) -> Said {
        let config = self.directory.join("config");
        let text = std::fs::read_to_string(&config).expect("a file");
        std::fs::write(&config, format!("{text}CONTACT_EMAIL={email}\n")).expect("a file");
        self.run(Command::new("dehydrated").arg("--account"))
    }

    /// The newest certificate and the chain above it.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        let folder = self.directory.join("certs").join(ALIAS);
        (folder.join("cert.pem"), folder.join("chain.pem"))
    }

    fn run(&self, command: &mut Command) -> Said {
        run(command.arg("--config").arg(self.directory.join("config")))
    }
}

const ALIAS: &str = "newest";
