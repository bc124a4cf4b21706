//! Real clients get, renew and revoke certificates, and strangers judge what they got.

use std::path::{Path, PathBuf};
use std::process::Command;

use softhsm_tests::clients::{Certbot, Lego, certtool_verify, openssl_verify, pkilint, pkilint_exceptions, run};
use softhsm_tests::rig::{Options, Rig};

#[test]
fn certbot_obtains_renews_and_revokes() {
    let rig = Rig::start(&Options::default());
    let certbot = Certbot::new(&rig, "certbot");
    let name = "certbot.example.test";
    certbot.obtain(name).success();
    let (leaf, chain) = certbot.certificate(name);
    judge(&rig, &leaf, &chain);
    let first = serial(&leaf);
    certbot.renew().success();
    judge(&rig, &leaf, &chain);
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    assert!(!is_revoked(&rig, &second));
    certbot.revoke(name).success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
    certbot.obtain("again.example.test").success();
}

#[test]
fn lego_obtains_renews_and_revokes() {
    let rig = Rig::start(&Options::default());
    let lego = Lego::new(&rig, "lego.example.test");
    lego.obtain().success();
    let (leaf, chain) = lego.certificate();
    judge(&rig, &leaf, &chain);
    let first = serial(&leaf);
    lego.renew().success();
    judge(&rig, &leaf, &chain);
    let second = serial(&leaf);
    assert_ne!(first, second, "a renewed certificate is another one");
    lego.revoke().success();
    assert!(is_revoked(&rig, &second) && !is_revoked(&rig, &first));
}

/// OpenSSL, GnuTLS and pkilint find nothing wrong with a chain, nor with the CA's own certificates.
fn judge(rig: &Rig, leaf: &Path, chain: &Path) {
    let root = PathBuf::from(rig.environment.get("SIGNET_CA_FILE"));
    let issuer = PathBuf::from(rig.environment.get("SIGNET_ISSUER_FILE"));
    openssl_verify(&root, chain, leaf).success();
    certtool_verify(&root, chain, leaf).success();
    let exceptions = pkilint_exceptions();
    // lego's file holds the chain too, and pkilint reads one certificate.
    let alone = leaf.with_extension("alone");
    run(Command::new("openssl").args(["x509", "-in"]).arg(leaf).arg("-out").arg(&alone)).success();
    let leaf = alone.as_path();
    for certificate in [leaf, &issuer, &root] {
        let findings = pkilint("lint_pkix_cert", &[certificate], &exceptions);
        assert_eq!(findings, Vec::<String>::new(), "pkilint on {}", certificate.display());
    }
    for pair in [[issuer.as_path(), leaf], [root.as_path(), issuer.as_path()]] {
        let findings = pkilint("lint_pkix_signer_signee_cert_chain", &pair, &exceptions);
        assert_eq!(findings, Vec::<String>::new(), "pkilint on {pair:?}");
    }
}

fn serial(certificate: &Path) -> String {
    let said = run(Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(certificate)).success();
    said.lines().find_map(|line| line.strip_prefix("serial=")).expect("a serial number").to_owned()
}

/// What the administrators see.
fn is_revoked(rig: &Rig, serial: &str) -> bool {
    let shown = rig.environment.signetctl(&["--json", "cert", "show", serial]).expect("signetctl cert show");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["serial"], serial.to_lowercase(), "{shown}");
    !shown["revoked"].is_null()
}
