//! uacme, a small client in C.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{External, Proof, Said, Ualpn, Web, interop, run, tell_zone};
use crate::rig::Rig;
use crate::wait::wait_until;

/// The bundle that Debian's libcurl trusts, and uacme with it: there is no flag for another one.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Longest wait for a second to pass, on a machine that does much else.
const ROLLOVER: Duration = Duration::from_secs(20);

/// A uacme, with files of its own.
pub struct Uacme<'a> {
    rig: &'a Rig,
    directory: PathBuf,
    web: Option<&'a Web>,
    ualpn: Option<&'a Ualpn>,
    external: Option<External>,
}

impl<'a> Uacme<'a> {
    /// Without an account.
    pub fn new(rig: &'a Rig) -> Self {
        Self { rig, directory: rig.directory().join("uacme"), web: None, ualpn: None, external: None }
    }

    /// The same, with a web server for http-01.
    pub fn with_web(self, web: &'a Web) -> Self {
        Self { web: Some(web), ..self }
    }

    /// The same, with a TLS server for tls-alpn-01.
    pub fn with_ualpn(self, ualpn: &'a Ualpn) -> Self {
        Self { ualpn: Some(ualpn), ..self }
    }

    /// The same, with an external account.
    pub fn bound(self, external: External) -> Self {
        Self { external: Some(external), ..self }
    }

    /// `uacme new`
    pub fn register(&self) -> Said {
        let mut arguments = vec!["new", "admin@example.test"];
        let external = self.external.as_ref().map(|external| format!("{}:{}", external.kid, external.hmac));
        if let Some(external) = &external {
            arguments.extend(["-e", external]);
        }
        self.run(&arguments, Proof::Http)
    }

    /// `uacme newkey`. The key of before is kept in a file that is named after the second in which uacme
    /// begins: a second rollover within that second would be made, and its new key not be put in place.
    pub fn rollover(&self) -> Said {
        let kept = |now: Duration| self.directory.join(format!("private/key-{}.pem", now.as_secs()));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        wait_until("the next second", ROLLOVER, || !kept(now()).exists()).expect("time goes on");
        self.run(&["newkey"], Proof::Http)
    }

    /// `uacme update` or `uacme deactivate`.
    pub fn account(&self, arguments: &[&str]) -> Said {
        self.run(arguments, Proof::Http)
    }

    /// `uacme issue`, whether it is due or not.
    pub fn obtain(&self, names: &[&str], proof: Proof) -> Said {
        let hook = interop("hooks/uacme").display().to_string();
        self.run(&[&["-f", "-t", "EC", "-h", &hook, "issue"], names].concat(), proof)
    }

    /// `uacme revoke` with the account's key.
    pub fn revoke(&self, certificate: &Path) -> Said {
        self.run(&["-r", "4", "revoke", &certificate.display().to_string()], Proof::Http)
    }

    /// `uacme revoke` with the certificate's key.
    pub fn revoke_by_key(&self, certificate: &Path, key: &Path) -> Said {
        let files = [certificate, key].map(|file| file.display().to_string());
        self.run(&["revoke", &files[0], &files[1]], Proof::Http)
    }

    /// The newest certificate with the chain, for the first name of an order.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.directory.join(name.trim_start_matches("*.")).join("cert.pem")
    }

    /// The certificate's key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.join("private").join(name).join("key.pem")
    }

    fn run(&self, arguments: &[&str], proof: Proof) -> Said {
        let environment = &self.rig.environment;
        // In a mount namespace of its own, where the bundle is this rig's root.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c"]);
        command.arg(format!("mount --bind \"$0\" {BUNDLE} && exec uacme \"$@\""));
        command.args([environment.get("SIGNET_CA_FILE"), "-y", "-v", "-a", environment.get("SIGNET_DIRECTORY"), "-c"]);
        command.arg(&self.directory).args(arguments).env("UACME_PROOF", proof.name());
        tell_zone(self.rig, &mut command);
        if let Some(web) = self.web {
            command.env("WEBROOT", web.root());
        }
        if let Some(ualpn) = self.ualpn {
            command.env("UALPN_SOCKET", &ualpn.socket);
        }
        run(&mut command)
    }
}
