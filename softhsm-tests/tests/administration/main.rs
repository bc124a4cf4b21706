//! Administration over mutual TLS, as administrators and programs meet it: who is let in and for how long, and
//! the API's description, held against what is answered.

mod description;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use softhsm_tests::acme::Https;
use softhsm_tests::clients::{Said, run};
use softhsm_tests::programs;
use softhsm_tests::rig::{Options, Rig};
use softhsm_tests::wait::wait_until;

/// Longer than the twenty seconds in which what is held open is cut, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(90);

/// An enrolment bundle with its key.
struct Bundle(PathBuf);

impl Bundle {
    /// Has somebody enrolled by the rig's administrator: his key, his CSR, and `signetctl admin add`.
    fn enrol(rig: &Rig, name: &str, role: &str) -> Self {
        let file = |suffix: &str| rig.directory().join(format!("{name}.{suffix}"));
        let (key, csr, folder) = (file("key"), file("csr"), rig.directory().join(name));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]);
        openssl.arg("-subj").arg(format!("/CN={name}")).arg("-keyout").arg(&key).arg("-out").arg(&csr);
        run(&mut openssl).success();
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let words = ["admin", "add", "--csr", &text(&csr), "--name", name, "--role", role, "--out", &text(&folder)];
        rig.environment.signetctl(&words).expect("an administrator");
        std::fs::rename(key, folder.join("admin.key")).expect("his key");
        Self(folder)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(programs::directory().join("signetctl"));
        command.arg("--profile").arg(self.0.join("profile.toml"));
        command
    }

    fn signetctl(&self, words: &[&str]) -> Said {
        run(self.command().args(words))
    }

    /// A connection of his.
    fn connect(&self, rig: &Rig) -> Https {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(rig.environment.get("SIGNET_CA_FILE")).expect("the root");
        roots.add(root).expect("a root certificate");
        let chain = CertificateDer::pem_file_iter(self.0.join("admin.pem")).expect("his certificate");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_file(self.0.join("admin.key")).expect("his key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("TLS versions").with_root_certificates(roots);
        let config = config.with_client_auth_cert(chain, key).expect("a certificate and its key");
        let authority = rig.environment.get("SIGNET_ADMIN_URL").trim_start_matches("https://");
        Https::new(Arc::new(config), authority).expect("an address")
    }
}

fn json(rig: &Rig, words: &[&str]) -> Value {
    let text = rig.environment.signetctl(&[&["--json"], words].concat()).expect("an answer");
    serde_json::from_str(&text).expect("JSON")
}

/// The fingerprint of the administrator of that name.
fn fingerprint(rig: &Rig, name: &str) -> String {
    let all = json(rig, &["admin", "list"]);
    let one = all.as_array().expect("a list").iter().find(|one| one["name"] == name).expect("an administrator");
    one["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

#[test]
fn an_administrator_is_added_given_a_role_and_removed_also_where_he_is_connected() {
    let rig = Rig::start(&Options::default());
    let bob = Bundle::enrol(&rig, "Bob", "operator");
    let print = fingerprint(&rig, "Bob");
    bob.signetctl(&["status"]).success();
    bob.signetctl(&["cert", "list"]).success();
    // An operator does the daily work, and has nothing to do with administrators.
    let refused = bob.signetctl(&["admin", "remove", &print]).failure();
    assert!(refused.contains("operator") && refused.contains("manage-administrators"), "{refused}");

    rig.environment.signetctl(&["admin", "role", &print, "auditor"]).expect("another role");
    assert_eq!(json(&rig, &["admin", "show", &print])["role"], "auditor");
    let refused = bob.signetctl(&["crl", "publish"]).failure();
    assert!(refused.contains("auditor"), "from the next request on: {refused}");
    bob.signetctl(&["events", "--last", "1"]).success();

    let mut idle = bob.connect(&rig);
    let answer = idle.request("GET", "/admin/v1/status", None, &[]).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut stream = bob.command();
    let stream = stream.args(["events", "--follow"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut stream = stream.spawn().expect("signetctl");
    rig.environment.signetctl(&["admin", "remove", &print]).expect("removed");
    let ended = || stream.try_wait().expect("signetctl").is_some();
    wait_until("the stream of the one who was removed ends", PATIENCE, ended).expect("an end");
    assert!(!stream.wait().expect("signetctl").success());
    let refused = bob.signetctl(&["status"]).failure();
    assert!(refused.contains("removed from the administrators"), "{refused}");
    // The connection that he had: refused on it, or cut.
    match idle.request("GET", "/admin/v1/status", None, &[]) {
        Ok(answer) => assert_eq!(answer.status, 403, "{}", answer.text()),
        Err(_cut) => {}
    }
    let all = json(&rig, &["admin", "list"]);
    let first = all.as_array().expect("a list").iter().find(|one| one["name"] != "Bob").expect("the rig's");
    let only = first["fingerprint"].as_str().expect("a fingerprint");
    let refused = rig.environment.signetctl(&["admin", "remove", only]).expect_err("the last one stays");
    assert!(refused.contains("last administrator"), "{refused}");
}

/// A program that shows a token to a path, over the connection of the rig's administrator: the token alone
/// decides. Status and body.
fn curl(rig: &Rig, token: &str, path: &str) -> (String, String) {
    let environment = |name| rig.environment.get(name);
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "60", "--write-out", "\n%{http_code}"]);
    command.args(["--cacert", environment("SIGNET_CA_FILE"), "--cert", environment("SIGNET_ADMIN_CERT")]);
    command.args(["--key", environment("SIGNET_ADMIN_KEY"), "--header", &format!("Authorization: Bearer {token}")]);
    let text = run(command.arg(format!("{}/admin/v1/{path}", environment("SIGNET_ADMIN_URL")))).success();
    let (body, status) = text.trim_end().rsplit_once('\n').expect("a body and a status");
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_token_does_what_it_was_granted_until_it_is_revoked_also_where_it_waits() {
    let rig = Rig::start(&Options::default());
    let words = ["token", "create", "--owner", "a program", "--permit", "read-events", "--everything"];
    let made = json(&rig, &words);
    let (id, secret) = (made["id"].as_str().expect("an id"), made["secret"].as_str().expect("a token"));
    let (status, events) = curl(&rig, secret, "events");
    assert_eq!(status, "200", "{events}");
    assert_eq!(curl(&rig, secret, "certificates").0, "403", "what it was not granted");
    rig.environment.signetctl(&["token", "disable", id]).expect("disabled");
    assert_eq!(curl(&rig, secret, "events").0, "401");
    rig.environment.signetctl(&["token", "enable", id]).expect("enabled");

    // Nothing happens, so the answer is waited for; the revocation happens, and is not for it any more.
    let last = json(&rig, &["status"]);
    let signers = last["signers"].as_array().expect("signers");
    let ca = signers.iter().find(|one| one["name"] == "ca").expect("the CA's signer");
    let beyond = ca["detail"]["last"].as_u64().expect("a position") + 1000;
    let fresh = json(&rig, &words);
    let (id, secret) = (fresh["id"].as_str().expect("an id"), fresh["secret"].as_str().expect("a token"));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| curl(&rig, secret, &format!("events?after={beyond}&wait=20")));
        let used = || json(&rig, &["token", "show", id])["last_used"].is_u64();
        wait_until("the token is taken at the door", PATIENCE, used).expect("a use");
        rig.environment.signetctl(&["token", "revoke", id]).expect("revoked");
        let (status, body) = waits.join().expect("curl");
        assert!(["401", "403"].contains(&status.as_str()) && body.contains("revoked"), "{status} {body}");
    });
    assert_eq!(curl(&rig, secret, "events").0, "401");
    assert_eq!(json(&rig, &["token", "show", id])["state"], "revoked");
}

#[test]
fn the_configuration_in_force_is_shown_with_its_file_and_its_defaults() {
    let rig = Rig::start(&Options::default());
    let config = json(&rig, &["config", "show"]);
    assert_eq!(config["file"], rig.layout.signetd().display().to_string());
    let settings = &config["settings"];
    assert_eq!(settings["public_url"], rig.environment.get("SIGNET_PUBLIC_URL"));
    // A default, which stands in no file.
    assert_eq!(settings["limits"]["request_timeout"], "30s");
    let table = rig.environment.signetctl(&["config", "show", "limits"]).expect("a table");
    assert!(table.contains("limits.request_timeout") && !table.contains("public_url"), "{table}");
}
