//! Strangers who read what was issued: OpenSSL, GnuTLS, NSS and pkilint.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Said, run};
use crate::rig::Rig;

/// Everybody finds nothing wrong with a certificate and the chain above it. `leaf` may hold the chain,
/// too. The CA's own certificates are for [`judge_ca`].
pub fn judge(rig: &Rig, leaf: &Path, chain: &Path) {
    let root = PathBuf::from(rig.environment.get("SIGNET_CA_FILE"));
    let issuer = PathBuf::from(rig.environment.get("SIGNET_ISSUER_FILE"));
    // pkilint and certtool are particular about how many certificates a file holds.
    let alone = leaf.with_extension("alone");
    run(Command::new("openssl").args(["x509", "-in"]).arg(leaf).arg("-out").arg(&alone)).success();
    let leaf = alone.as_path();
    openssl_verify(&root, chain, leaf).success();
    certtool_verify(&root, chain, leaf).success();
    nss_verify(&root, &issuer, leaf).success();
    let mut exceptions = pkilint_exceptions();
    let names = run(Command::new("openssl").args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(leaf));
    if names.success().contains("DNS:*.") {
        // RFC 5280 section 4.2.1.6 leaves wildcards to others (RFC 6125); pkilint's PKIX rules know only hosts.
        exceptions.push("pkix.invalid_domain_name_syntax".to_owned());
    }
    lint(&[leaf], &exceptions);
    lint(&[&issuer, leaf], &exceptions);
}

/// pkilint finds nothing wrong with the certificates of the CA.
pub fn judge_ca(rig: &Rig) {
    let [root, issuer] = ["SIGNET_CA_FILE", "SIGNET_ISSUER_FILE"].map(|name| PathBuf::from(rig.environment.get(name)));
    let exceptions = pkilint_exceptions();
    lint(&[&root], &exceptions);
    lint(&[&issuer], &exceptions);
    lint(&[&root, &issuer], &exceptions);
}

/// A certificate, or an issuer and what it issued.
fn lint(files: &[&Path], exceptions: &[String]) {
    let linter = if files.len() == 1 { "lint_pkix_cert" } else { "lint_pkix_signer_signee_cert_chain" };
    assert_eq!(pkilint(linter, files, exceptions), Vec::<String>::new(), "pkilint on {files:?}");
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

/// NSS's `vfychain` as a TLS server, with the root in a database of its own.
fn nss_verify(root: &Path, issuer: &Path, leaf: &Path) -> Said {
    let database = tempfile::tempdir().expect("a directory");
    let directory = format!("sql:{}", database.path().display());
    let certutil = |arguments: &[&str]| run(Command::new("certutil").args(["-d", &directory]).args(arguments));
    certutil(&["-N", "--empty-password"]).success();
    certutil(&["-A", "-n", "root", "-t", "C,,", "-i", &root.display().to_string()]).success();
    let mut command = Command::new("vfychain");
    // -pp: the PKIX library; -u 1: as a TLS server; -a: PEM.
    command.args(["-d", &directory, "-pp", "-u", "1", "-a"]);
    run(command.arg(leaf).arg("-a").arg(issuer))
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
    let text = include_str!("../../pkilint-exceptions.txt");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The serial number of the first certificate in a PEM file, as OpenSSL prints it.
pub fn serial(certificate: &Path) -> String {
    let said = run(Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(certificate)).success();
    said.lines().find_map(|line| line.strip_prefix("serial=")).expect("a serial number").to_owned()
}

/// Whether a certificate is revoked, as the administrators see it.
pub fn is_revoked(rig: &Rig, serial: &str) -> bool {
    let shown = rig.environment.signetctl(&["--json", "cert", "show", serial]).expect("signetctl cert show");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["serial"], serial.to_lowercase(), "{shown}");
    !shown["revoked"].is_null()
}
