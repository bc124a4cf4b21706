//! Debian's lego.

use std::path::PathBuf;
use std::process::Command;

use super::{External, Proof, Said, interop, run, tell_zone};
use crate::rig::Rig;

/// A lego, with files of its own.
pub struct Lego<'a> {
    rig: &'a Rig,
    directory: PathBuf,
    names: Vec<String>,
    proof: Proof,
    external: Option<External>,
}

impl<'a> Lego<'a> {
    /// A lego for these names, with the account of the last one on this rig.
    pub fn new(rig: &'a Rig, names: &[&str], proof: Proof) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { rig, directory: rig.directory().join("lego"), names, proof, external: None }
    }

    /// The same, with an external account.
    pub fn bound(self, external: External) -> Self {
        Self { external: Some(external), ..self }
    }

    /// `lego run`
    pub fn obtain(&self) -> Said {
        self.run(&["run"])
    }

    /// `lego renew`, though it is not due.
    pub fn renew(&self) -> Said {
        self.run(&["renew", "--days", "99999", "--no-random-sleep"])
    }

    /// `lego revoke`; the files stay.
    pub fn revoke(&self) -> Said {
        self.run(&["revoke", "--keep"])
    }

    /// The newest certificate with the chain, and the issuer's certificate.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        let folder = self.directory.join("certificates");
        let name = self.names[0].replace('*', "_");
        (folder.join(format!("{name}.crt")), folder.join(format!("{name}.issuer.crt")))
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let environment = &self.rig.environment;
        let mut command = Command::new("lego");
        command.args(["--server", environment.get("SIGNET_DIRECTORY"), "--path"]).arg(&self.directory);
        command.args(["--email", "admin@example.test", "--accept-tos"]);
        for name in &self.names {
            command.args(["--domains", name]);
        }
        match self.proof {
            Proof::Dns => {
                tell_zone(self.rig, &mut command);
                command.args(["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", environment.get("SIGNET_DNS")]);
                command.env("EXEC_PATH", interop("hooks/lego")).env("EXEC_SEQUENCE_INTERVAL", "0");
            }
            Proof::Http => {
                let port = environment.get("SIGNET_HTTP01_PORT");
                command.args(["--http", "--http.port", &format!("127.0.0.1:{port}")]);
            }
            Proof::TlsAlpn => {
                let port = environment.get("SIGNET_TLS01_PORT");
                command.args(["--tls", "--tls.port", &format!("127.0.0.1:{port}")]);
            }
        }
        if let Some(External { kid, hmac }) = &self.external {
            command.args(["--eab", "--kid", kid, "--hmac", hmac]);
        }
        run(command.args(arguments).env("LEGO_CA_CERTIFICATES", environment.get("SIGNET_CA_FILE")))
    }
}
