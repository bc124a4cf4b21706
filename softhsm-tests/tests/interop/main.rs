//! Clients that `make test` does not install: `make interop` does, and runs this.

use std::process::Command;

use softhsm_tests::clients::{Apache, External, Node, Proof, Web, is_revoked, judge, run, serial};
use softhsm_tests::rig::{Options, Rig};

#[test]
fn acme_client_of_npm_lives_the_whole_life_of_an_account() {
    if is_skipped() {
        return;
    }
    let settings = Some("[acme]\nexternal_accounts = \"required\"\n".to_owned());
    let rig = Rig::start(&Options { settings, ..Options::default() });
    let Some(node) = Node::installed(&rig) else {
        return softhsm_tests::skipped("npm cannot be reached");
    };
    let key = External::create(&rig, &["--reusable"]);
    let unbound = node.run(&["http.test"], Proof::Http, None, &["register"]).failure();
    assert!(unbound.contains("xternal"), "{unbound}");
    let (leaf, chain) = node.certificate();
    let steps = ["register", "obtain", "update", "rollover", "obtain", "revoke", "deactivate"];
    node.run(&["http.test", "two.http.test"], Proof::Http, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
    assert!(is_revoked(&rig, &serial(&leaf)));
    let steps = ["register", "obtain"];
    node.run(&["*.dns.test", "dns.test"], Proof::Dns, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
    node.run(&["tls.test"], Proof::TlsAlpn, Some(&key), &steps).success();
    judge(&rig, &leaf, &chain);
}

#[test]
fn mod_md_gets_the_certificates_that_it_serves() {
    if is_skipped() {
        return;
    }
    let rig = Rig::start(&Options::default());
    for (name, proof) in [("http.test", Proof::Http), ("tls.test", Proof::TlsAlpn)] {
        let apache = Apache::start(&rig, name, proof, &External::create(&rig, &[]));
        let certificate = apache.wait();
        judge(&rig, &certificate, rig.environment.get("SIGNET_ISSUER_FILE").as_ref());
        let said = apache.connect(&rig).success();
        assert!(said.contains("Verification: OK"), "{said}");
    }
}

#[test]
fn acme_tiny_obtains() {
    if is_skipped() {
        return;
    }
    let rig = Rig::start(&Options::default());
    let web = Web::start(&rig, rig.directory());
    let file = |name: &str| rig.directory().join(name).display().to_string();
    let [account, key, csr] = ["account.key", "tiny.key", "tiny.csr"].map(file);
    run(Command::new("openssl").args(["genrsa", "-out", &account, "2048"])).success();
    let request =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/", "-addext", "subjectAltName=DNS:tiny.test"];
    run(Command::new("openssl").args(request).args(["-keyout", &key, "-out", &csr])).success();
    let mut command = Command::new("acme-tiny");
    command.args(["--account-key", &account, "--csr", &csr, "--disable-check", "--quiet", "--acme-dir"]);
    command.arg(web.root().join(".well-known/acme-challenge"));
    command.args(["--directory-url", rig.environment.get("SIGNET_DIRECTORY")]);
    let said = run(command.env("SSL_CERT_FILE", rig.environment.get("SIGNET_CA_FILE"))).success();
    let (_, pem) = said.split_once('\n').expect("a certificate after the first line");
    std::fs::write(file("tiny.pem"), pem).expect("a file");
    judge(&rig, file("tiny.pem").as_ref(), rig.environment.get("SIGNET_ISSUER_FILE").as_ref());
}

fn is_skipped() -> bool {
    let skipped = std::env::var_os("SIGNET_INTEROP").is_none();
    if skipped {
        softhsm_tests::skipped("`make interop` installs what this needs");
    }
    skipped
}
