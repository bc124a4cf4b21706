//! Programs by strangers, run against a rig: ACME clients, and verifiers of what was issued.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::Rig;

/// Longest that one program may run, in seconds.
const TIMEOUT: &str = "120";
/// What a caller's shell may have set, and must not decide whom a client trusts.
const AMBIENT: [&str; 8] = [
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LEGO_CA_CERTIFICATES",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
];

/// What a program said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it ended with exit code 0.
    pub succeeded: bool,
    /// Standard output, then standard error.
    pub text: String,
}

impl Said {
    /// The text, if the program succeeded; a panic with it, if not.
    pub fn success(self) -> String {
        assert!(self.succeeded, "{}", self.text);
        self.text
    }
}

/// Runs a program to its end; one that does not end is killed, and has failed.
pub fn run(command: &mut Command) -> Said {
    let mut limited = Command::new("timeout");
    limited.arg("--kill-after=5").arg(TIMEOUT).arg(command.get_program()).args(command.get_args());
    for name in AMBIENT {
        limited.env_remove(name);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let output = limited.output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said { succeeded: output.status.success(), text: format!("{name}: {}\n{text}", output.status) }
}

/// A certbot, with files of its own.
pub struct Certbot<'a> {
    rig: &'a Rig,
    program: PathBuf,
    directory: PathBuf,
}

impl<'a> Certbot<'a> {
    /// Debian's certbot, without an account.
    pub fn new(rig: &'a Rig, name: &str) -> Self {
        Self::at(rig, name, Path::new("certbot"))
    }

    /// Another certbot, without an account.
    pub fn at(rig: &'a Rig, name: &str, program: &Path) -> Self {
        Self { rig, program: program.to_owned(), directory: rig.directory().join(name) }
    }

    /// `certbot certonly` over http-01.
    pub fn obtain(&self, name: &str) -> Said {
        let port = self.rig.environment.get("SIGNET_HTTP01_PORT");
        self.run(&[
            "certonly",
            "--agree-tos",
            "--register-unsafely-without-email",
            "--standalone",
            "--http-01-address=127.0.0.1",
            &format!("--http-01-port={port}"),
            "--key-type=ecdsa",
            "-d",
            name,
        ])
    }

    /// `certbot renew`, though it is not due.
    pub fn renew(&self) -> Said {
        self.run(&["renew", "--force-renewal", "--no-random-sleep-on-renew"])
    }

    /// `certbot revoke`; the files stay.
    pub fn revoke(&self, name: &str) -> Said {
        self.run(&["revoke", "--cert-name", name, "--reason", "superseded", "--no-delete-after-revoke"])
    }

    /// The newest certificate and the chain above it.
    pub fn certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        let live = self.directory.join("live").join(name);
        (live.join("cert.pem"), live.join("chain.pem"))
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--non-interactive").arg("--server");
        command.arg(self.rig.environment.get("SIGNET_DIRECTORY"));
        for (flag, folder) in [("--config-dir", ""), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(flag).arg(self.directory.join(folder));
        }
        command.env("REQUESTS_CA_BUNDLE", self.rig.environment.get("SIGNET_CA_FILE"));
        run(&mut command)
    }
}

/// Debian's lego, with files of its own.
pub struct Lego<'a> {
    rig: &'a Rig,
    directory: PathBuf,
    name: String,
}

impl<'a> Lego<'a> {
    /// A lego for one name, without an account.
    pub fn new(rig: &'a Rig, name: &str) -> Self {
        Self { rig, directory: rig.directory().join("lego"), name: name.to_owned() }
    }

    /// `lego run` over http-01.
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
        (folder.join(format!("{}.crt", self.name)), folder.join(format!("{}.issuer.crt", self.name)))
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let port = self.rig.environment.get("SIGNET_HTTP01_PORT");
        let mut command = Command::new("lego");
        command.args(["--server", self.rig.environment.get("SIGNET_DIRECTORY"), "--path"]).arg(&self.directory);
        command.args(["--email", "admin@example.test", "--accept-tos", "--domains", &self.name]);
        command.args(["--http", "--http.port", &format!("127.0.0.1:{port}")]).args(arguments);
        command.env("LEGO_CA_CERTIFICATES", self.rig.environment.get("SIGNET_CA_FILE"));
        run(&mut command)
    }
}

/// `openssl verify -x509_strict` as a TLS server.
pub fn openssl_verify(root: &Path, chain: &Path, leaf: &Path) -> Said {
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]).arg(root);
    run(command.arg("-untrusted").arg(chain).arg(leaf))
}

/// `certtool --verify`: the leaf and what is above it, to the root.
pub fn certtool_verify(root: &Path, chain: &Path, leaf: &Path) -> Said {
    let whole = leaf.with_extension("whole");
    let read = |path| std::fs::read(path).expect("a PEM file");
    std::fs::write(&whole, [read(leaf), read(chain)].concat()).expect("a folder to write in");
    let mut command = Command::new("certtool");
    command.args([
        "--verify",
        "--verify-profile=medium",
        "--verify-purpose=1.3.6.1.5.5.7.3.1",
        "--load-ca-certificate",
    ]);
    run(command.arg(root).arg("--infile").arg(whole))
}

/// One of pkilint's linters over a PEM file, findings at WARNING or above; the finding codes that
/// are not excepted.
pub fn pkilint(linter: &str, files: &[&Path], exceptions: &[String]) -> Vec<String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pkilint/bin").join(linter);
    assert!(program.is_file(), "{} is missing: run `tools/setup test` first", program.display());
    let mut command = Command::new(program);
    command.args(["lint", "-s", "WARNING", "-f", "JSON"]).args(files);
    let said = run(&mut command);
    let json = said.text.split_once('\n').map(|(_, rest)| rest).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {}", said.text));
    let results = report["results"].as_array().unwrap_or_else(|| panic!("no results: {}", said.text));
    let findings =
        results.iter().flat_map(|result| result["finding_descriptions"].as_array().cloned().unwrap_or_default());
    findings
        .filter_map(|finding| finding["code"].as_str().map(str::to_owned))
        .filter(|code| !exceptions.contains(code))
        .collect()
}

/// The codes of `pkilint-exceptions.txt`: one a line, each below the reason for it.
pub fn pkilint_exceptions() -> Vec<String> {
    let text = include_str!("../pkilint-exceptions.txt");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}
