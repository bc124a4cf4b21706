//! Apache with mod_md, which gets the certificates that it serves.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::servers::Background;
use super::{External, Proof, Said, run};
use crate::rig::Rig;
use crate::wait::wait_until;

/// Longest wait for a certificate. mod_md begins some seconds after the start, and asks rarely.
const PATIENCE: Duration = Duration::from_secs(90);

/// A web server with one managed domain.
pub struct Apache {
    /// Readable by everybody: it serves as `nobody`.
    directory: tempfile::TempDir,
    name: String,
    port: String,
    process: Background,
}

impl Apache {
    /// Starts it on the rig's ports for http-01 and tls-alpn-01.
    pub fn start(rig: &Rig, name: &str, proof: Proof, external: &External) -> Self {
        let directory = tempfile::Builder::new().prefix("apache-").tempdir().expect("a directory");
        let root = directory.path().join("root.pem");
        let open = |path, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("permissions");
        };
        open(directory.path(), 0o755);
        std::fs::copy(rig.environment.get("SIGNET_CA_FILE"), &root).expect("a file");
        open(&root, 0o644);
        let [http, tls] = ["SIGNET_HTTP01_PORT", "SIGNET_TLS01_PORT"].map(|name| rig.environment.get(name));
        let modules = ["mpm_event", "authz_core", "ssl", "md"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
        let config = format!(
            "ServerRoot {place}\nPidFile {place}/pid\nErrorLog {place}/log\nUser nobody\nGroup nogroup\n{modules}\
             Listen 127.0.0.1:{http}\nListen 127.0.0.1:{tls} https\nServerName {name}\n\
             MDStoreDir {place}/md\nMDCertificateAuthority {directory_url}\nMDCACertificateFile {root}\n\
             MDCertificateAgreement accepted\nMDContactEmail admin@example.test\n\
             MDExternalAccountBinding {kid} {hmac}\nMDPortMap 80:{http} 443:{tls}\nMDCAChallenges {proof}\n\
             MDomain {name}\n\
             <VirtualHost 127.0.0.1:{tls}>\nServerName {name}\nSSLEngine on\nProtocols http/1.1 acme-tls/1\n\
             </VirtualHost>\n",
            place = directory.path().display(),
            modules = modules.concat(),
            directory_url = rig.environment.get("SIGNET_DIRECTORY"),
            root = root.display(),
            kid = external.kid,
            hmac = external.hmac,
            proof = proof.name(),
        );
        let file = directory.path().join("httpd.conf");
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("apache2");
        command.arg("-d").arg(directory.path()).arg("-f").arg(file).arg("-DFOREGROUND");
        let process = Background::start(&mut command);
        Self { directory, name: name.to_owned(), port: tls.to_owned(), process }
    }

    /// Waits until it has a certificate, and lets it serve that; the file.
    pub fn wait(&self) -> PathBuf {
        let place = self.directory.path();
        let staged = place.join("md/staging").join(&self.name).join("pubcert.pem");
        let log = || std::fs::read_to_string(place.join("log")).unwrap_or_default();
        wait_until("mod_md has a certificate", PATIENCE, || staged.exists() || log().contains("md:error"))
            .unwrap_or_else(|error| panic!("{error}: {}", log()));
        assert!(staged.exists(), "{}", log());
        // It takes what is staged when it starts anew.
        self.process.signal(rustix::process::Signal::USR1);
        let served = place.join("md/domains").join(&self.name).join("pubcert.pem");
        wait_until("mod_md serves it", PATIENCE, || served.exists())
            .unwrap_or_else(|error| panic!("{error}: {}", log()));
        served
    }

    /// What a TLS client that trusts the rig's root says.
    pub fn connect(&self, rig: &Rig) -> Said {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-verify_return_error", "-connect", &format!("127.0.0.1:{}", self.port)]);
        command.args(["-servername", &self.name, "-verify_hostname", &self.name, "-CAfile"]);
        run(command.arg(rig.environment.get("SIGNET_CA_FILE")))
    }
}
