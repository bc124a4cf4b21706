//! Certificates on somebody's word, from the command line to OpenSSL: issued, renewed, searched,
//! exported, asked for and approved.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use softhsm_tests::clients::run;
use softhsm_tests::rig::{Options, Rig};

struct Scene {
    rig: Rig,
}

impl Scene {
    fn ctl(&self, arguments: &[&str]) -> String {
        self.rig.environment.signetctl(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    fn refused(&self, arguments: &[&str]) -> String {
        self.rig.environment.signetctl(arguments).expect_err("it is refused")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ctl(&[&["--json"], arguments].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.rig.directory().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        run(Command::new("openssl").args(arguments).current_dir(self.rig.directory())).success()
    }

    /// A P-256 key and a CSR in `NAME.key` and `NAME.csr`.
    fn csr(&self, name: &str, subject: &str, names: &str) -> String {
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let mut arguments = vec!["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        arguments.extend(["-keyout", &key, "-out", &csr, "-subj", subject]);
        let alternative = format!("subjectAltName={names}");
        if !names.is_empty() {
            arguments.extend(["-addext", &alternative]);
        }
        self.openssl(&arguments);
        self.path(&csr).display().to_string()
    }

    fn verify(&self, file: &str) {
        let ca = self.rig.environment.get("SIGNET_CA_FILE").to_owned();
        self.openssl(&["verify", "-x509_strict", "-CAfile", &ca, "-untrusted", file, file]);
    }

    fn text(&self, file: &str) -> String {
        self.openssl(&["x509", "-noout", "-text", "-in", file])
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

#[test]
fn a_certificate_is_issued_renewed_found_and_exported_and_openssl_agrees() {
    let scene = Scene { rig: Rig::start(&Options::default()) };
    let csr = scene.csr("one", "/CN=one.example.test", "DNS:www.one.example.test");
    let one = scene.path("one.pem");
    scene.ctl(&["cert", "issue", "--csr", &csr, "--of-profile", "server", "--out", shown(&one)]);
    scene.verify("one.pem");
    assert!(scene.text("one.pem").contains("DNS:one.example.test, DNS:www.one.example.test"));

    let (key, two) = (scene.path("two.key"), scene.path("two.pem"));
    let made = ["cert", "issue", "--generate", "p384", "--key-out", shown(&key), "--of-profile", "server"];
    scene.ctl(&[&made[..], &["--name", "two.example.test", "--out", shown(&two)]].concat());
    scene.verify("two.pem");
    let of_key = scene.openssl(&["pkey", "-in", "two.key", "-pubout"]);
    assert_eq!(of_key, scene.openssl(&["x509", "-in", "two.pem", "-noout", "-pubkey"]));
    // A key that is there is not written over.
    assert!(scene.refused(&[&made[..], &["--name", "x.example.test"]].concat()).contains("two.key"));
    assert!(
        scene
            .refused(&["cert", "issue", "--csr", &csr, "--of-profile", "server", "--name", "192.0.2.1"])
            .contains("does not permit")
    );

    let found = scene.json(&["cert", "search", "--name", "*.example.test", "--status", "valid"]);
    assert_eq!(found.as_array().map(Vec::len), Some(2), "{found}");
    let found = scene.json(&["cert", "search", "--name", "two.example.test"]);
    let serial = found[0]["serial"].as_str().expect("a serial number").to_owned();
    let again = scene.path("again.pem");
    scene.csr("again", "/CN=two.example.test", "");
    let csr = scene.path("again.csr");
    scene.ctl(&["cert", "renew", &serial, "--csr", shown(&csr), "--out", shown(&again)]);
    scene.verify("again.pem");
    assert!(
        scene.ctl(&["cert", "search", "--of-profile", "server", "--name", "two.example.test"]).lines().count() == 3
    );
    assert_eq!(scene.json(&["expiring", "--within", "365d"]).as_array().map(|all| all.len() >= 3), Some(true));
    assert_eq!(scene.json(&["expiring", "--within", "1h"]), serde_json::json!([]));

    for (format, reader) in [
        ("pem", &["x509", "-noout", "-serial", "-in"][..]),
        ("chain", &["x509", "-noout", "-serial", "-in"]),
        ("der", &["x509", "-inform", "DER", "-noout", "-serial", "-in"]),
    ] {
        let out = scene.path(&format!("exported.{format}"));
        scene.ctl(&["cert", "export", &serial, "--format", format, "--out", shown(&out)]);
        let said = scene.openssl(&[reader, &[shown(&out)]].concat());
        assert_eq!(said.trim().to_lowercase(), format!("serial={serial}"), "{format}");
    }
    let all = scene.path("all.p7b");
    scene.ctl(&["cert", "export", "--of-profile", "server", "--format", "p7b", "--out", shown(&all)]);
    let listed = scene.openssl(&["pkcs7", "-inform", "DER", "-print_certs", "-in", "all.p7b"]);
    assert_eq!(listed.matches("BEGIN CERTIFICATE").count(), 3);
    let lines = scene.ctl(&["cert", "export", "--of-profile", "server", "--format", "json-lines"]);
    assert!(lines.lines().count() == 3 && lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert!(scene.refused(&["cert", "export", "--name", "none.example.test"]).contains("no such certificate"));

    let explained = scene.ctl(&["profile", "explain", "server", "--generate", "p256", "--name", "a.example.test"]);
    assert!(explained.contains("it would be issued"), "{explained}");
    let refused = scene.refused(&["profile", "explain", "server", "--generate", "ed25519", "--name", "a.example.test"]);
    assert!(refused.contains("would be refused"), "{refused}");
    let events = scene.ctl(&["events"]);
    assert_eq!(events.lines().filter(|line| line.contains("profile=server")).count(), 4, "{events}");
}

#[test]
fn who_holds_a_certificate_asks_and_an_administrator_approves() {
    let scene = Scene { rig: Rig::start(&Options::default()) };
    let (key, certificate) = (scene.path("jane.key"), scene.path("jane.pem"));
    let issue = ["cert", "issue", "--generate", "p256", "--key-out", shown(&key), "--of-profile", "client"];
    scene.ctl(&[&issue[..], &["--common-name", "Jane Doe", "--out", shown(&certificate)]].concat());
    let jane = ["--certificate", shown(&certificate), "--key", shown(&key)];
    let csr = scene.csr("shop", "/CN=shop.example.test", "");
    let ask = |arguments: &[&str]| scene.json(&[&jane[..], arguments].concat());
    let request = ask(&["request", "create", "--csr", &csr, "--of-profile", "server"]);
    let id = request["id"].as_str().expect("an id").to_owned();
    assert_eq!(request["status"], "pending");
    assert_eq!(ask(&["request", "show", &id])["digest"], request["digest"]);
    let refused = scene.refused(&[&jane[..], &["request", "approve", &id]].concat());
    assert!(!refused.is_empty());
    assert!(scene.ctl(&["request", "list", "--status", "pending"]).contains(&id));
    let out = scene.path("shop.pem");
    scene.ctl(&["request", "approve", &id, "--out", shown(&out)]);
    scene.verify("shop.pem");
    let first = std::fs::read(&out).expect("a certificate");
    scene.ctl(&["request", "approve", &id, "--out", shown(&out)]);
    assert_eq!(std::fs::read(&out).expect("a certificate"), first, "approved again, it is the same");
    assert_eq!(ask(&["request", "show", &id])["status"], "issued");
    let csr = scene.csr("evil", "/CN=evil.example.test", "");
    let request = ask(&["request", "create", "--csr", &csr, "--of-profile", "server"]);
    let id = request["id"].as_str().expect("an id");
    assert_eq!(scene.json(&["request", "reject", id, "--why", "who is that?"])["status"], "rejected");
    assert!(scene.refused(&["request", "approve", id]).contains("rejected"));
    let events = scene.ctl(&["events"]);
    assert!(events.contains("request_approved") && events.contains("request_rejected"), "{events}");
}
