//! A rig with an ACME client, and how strangers ask it about certificates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use policy::serial::Serial;
use softhsm_tests::acme::Client;
use softhsm_tests::clients::{Said, pkilint, run};
use softhsm_tests::rig::{Options, Rig};
use softhsm_tests::wait::wait_until;

/// Longest wait for what must come about, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A rig with an ACME client.
pub(crate) struct Scene {
    pub(crate) rig: Rig,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(&Options::default())
    }

    pub(crate) fn with(options: &Options) -> Self {
        let scene = Self { rig: Rig::start(options) };
        wait_until("a CRL is served", PATIENCE, || scene.try_fetch("/crl/issuing-1.crl").is_some()).expect("a CRL");
        scene
    }

    pub(crate) fn directory(&self) -> &Path {
        self.rig.directory()
    }

    pub(crate) fn pki(&self) -> &str {
        self.rig.environment.get("SIGNET_PKI_URL")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.rig.environment.get(name))
    }

    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        self.rig.environment.signetctl(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// A certificate for `name`, in a PEM file.
    pub(crate) fn obtain(&self, name: &str) -> PathBuf {
        let plan = self.rig.plan(1);
        let mut client = Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
        client.register().expect("an account");
        let issued = client.obtain(name).expect("a certificate");
        let der = self.directory().join(format!("{name}.der"));
        let pem = der.with_extension("pem");
        std::fs::write(&der, &issued.chain[0]).expect("a file");
        run(Command::new("openssl").args(["x509", "-inform", "DER", "-in"]).arg(&der).arg("-out").arg(&pem)).success();
        pem
    }

    pub(crate) fn openssl_ocsp(&self, leaf: &Path, more: &[&str]) -> Said {
        let mut command = self.openssl();
        run(command.args(more).arg("-cert").arg(leaf))
    }

    /// OpenSSL's question without a nonce.
    pub(crate) fn ask(&self, leaf: &Path) -> Said {
        self.openssl_ocsp(leaf, &["-no_nonce"])
    }

    /// OpenSSL's question for several serial numbers at once.
    pub(crate) fn ask_serials(&self, serials: &[Serial]) -> Said {
        let mut command = self.openssl();
        command.arg("-no_nonce");
        for serial in serials {
            command.args(["-serial", &format!("0x{serial}")]);
        }
        run(&mut command)
    }

    pub(crate) fn ask_serial(&self, serial: &str) -> Said {
        let mut command = self.openssl();
        run(command.args(["-no_nonce", "-serial", serial]))
    }

    pub(crate) fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-url", &format!("{}/ocsp", self.pki()), "-issuer"]).arg(self.file("SIGNET_ISSUER_FILE"));
        command.arg("-CAfile").arg(self.file("SIGNET_CA_FILE"));
        command
    }

    pub(crate) fn vfychain(&self, leaf: &Path) -> Said {
        let database = self.directory().join("nss");
        if !database.exists() {
            std::fs::create_dir(&database).expect("a directory");
            let certutil = |arguments: &[&str]| {
                run(Command::new("certutil").args(["-d", &format!("sql:{}", database.display())]).args(arguments))
            };
            certutil(&["-N", "--empty-password"]).success();
            let root = self.file("SIGNET_CA_FILE");
            certutil(&["-A", "-n", "root", "-t", "C,,", "-i", &root.display().to_string()]).success();
        }
        let mut command = Command::new("vfychain");
        command.args(["-d", &format!("sql:{}", database.display()), "-pp", "-u", "1"]);
        // The leaf's status over OCSP, and no answer is no good.
        command.args(["-g", "leaf", "-m", "ocsp", "-s", "failIfNoInfo", "-a"]);
        run(command.arg(leaf).arg("-a").arg(self.file("SIGNET_ISSUER_FILE")))
    }

    pub(crate) fn try_fetch(&self, path: &str) -> Option<Vec<u8>> {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--noproxy", "*", &format!("{}{path}", self.pki())])
            .output()
            .expect("curl");
        output.status.success().then_some(output.stdout)
    }

    /// The CRL as a DER file.
    pub(crate) fn fetch_crl(&self, issuer: &str) -> PathBuf {
        let bytes = self.try_fetch(&format!("/crl/{issuer}.crl")).expect("a CRL");
        let file = self.directory().join(format!("{issuer}.crl"));
        std::fs::write(&file, bytes).expect("a file");
        file
    }

    /// The answer for a certificate, as a DER file.
    pub(crate) fn ocsp_response(&self, leaf: &Path) -> PathBuf {
        let file = leaf.with_extension("ocsp");
        let mut command = self.openssl();
        run(command.args(["-no_nonce", "-respout"]).arg(&file).arg("-cert").arg(leaf)).success();
        file
    }
}

/// One of pkilint's linters over a DER file.
pub(crate) fn lint(linter: &str, more: &[&str], file: &Path, exceptions: &[String]) -> Vec<String> {
    // Its option parser takes the verb first.
    let mut arguments: Vec<&Path> = more.iter().map(Path::new).collect();
    arguments.push(file);
    pkilint(linter, &arguments, exceptions)
}

pub(crate) fn crl_number(crl: &Path) -> u128 {
    let said = run(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-crlnumber", "-in"]).arg(crl));
    let text = said.success();
    let number = text.trim().rsplit('=').next().expect("a number").trim_start_matches("0x").to_owned();
    u128::from_str_radix(&number, 16).expect("a hexadecimal number")
}

pub(crate) fn serial(certificate: &Path) -> String {
    softhsm_tests::clients::serial(certificate).to_lowercase()
}
