//! uPKI's dialect against a whole Signet: its command line's requests, seeds, mutual TLS, and OpenSSL as
//! the judge of what comes of it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use softhsm_tests::acme::upki::{CommandLine, csr};
use softhsm_tests::acme::{Answer, Https, tls_config};
use softhsm_tests::clients::run;
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::wait_until;

const NODE: &str = "app.example.test";

fn scene() -> Rig {
    Rig::start(&Options {
        settings: Some("[acme]\nprofiles = [\"server\", \"node\"]\nupki_forms = true\n".to_owned()),
        surfaces: Some(vec!["upki".to_owned()]),
        ..Options::default()
    })
}

fn base(rig: &Rig) -> String {
    rig.environment.get("SIGNET_PUBLIC_URL").to_owned()
}

fn nobody(rig: &Rig) -> Arc<ClientConfig> {
    tls_config(Path::new(rig.environment.get("SIGNET_CA_FILE"))).expect("the root certificate")
}

/// TLS with a certificate, PEM.
fn somebody(rig: &Rig, certificate: &str, key: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(rig.environment.get("SIGNET_CA_FILE")).expect("the root certificate");
    roots.add(root).expect("a root certificate");
    let mut chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().expect("PEM");
    chain.push(CertificateDer::from_pem_file(rig.environment.get("SIGNET_ISSUER_FILE")).expect("the issuer"));
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS versions").with_root_certificates(roots);
    Arc::new(config.with_client_auth_cert(chain, key).expect("a certificate and its key"))
}

fn administrator(rig: &Rig) -> Arc<ClientConfig> {
    let read = |name| std::fs::read_to_string(rig.environment.get(name)).expect("a file of the administrator");
    somebody(rig, &read("SIGNET_ADMIN_CERT"), &read("SIGNET_ADMIN_KEY"))
}

fn ask(rig: &Rig, tls: &Arc<ClientConfig>, method: &str, path: &str, body: Option<Value>) -> Answer {
    let mut https = Https::new(tls.clone(), base(rig).trim_start_matches("https://")).expect("an address");
    let (kind, body) = match body {
        Some(body) => (Some("application/json"), body.to_string()),
        None => (None, String::new()),
    };
    https.request(method, path, kind, body.as_bytes()).expect("an answer")
}

fn data(answer: &Answer) -> Value {
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("success")), "{}", answer.text());
    answer.json()["data"].clone()
}

fn node(rig: &Rig, arguments: &[&str]) -> Value {
    let said = rig.environment.signetctl(&[&["--json", "node"], arguments].concat()).expect("signetctl");
    serde_json::from_str(&said).expect("JSON")
}

/// OpenSSL trusts the certificate, and says what its subject is.
fn verify(rig: &Rig, certificate: &str, directory: &Path) -> String {
    let leaf = directory.join("leaf.pem");
    std::fs::write(&leaf, certificate).expect("a file");
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-CAfile", rig.environment.get("SIGNET_CA_FILE")]);
    run(command.args(["-untrusted", rig.environment.get("SIGNET_ISSUER_FILE")]).arg(&leaf)).success();
    let mut command = Command::new("openssl");
    run(command.args(["x509", "-noout", "-subject", "-ext", "subjectAltName", "-in"]).arg(&leaf)).success()
}

#[test]
fn upkis_command_line_enrols_a_node_whose_account_is_registered() {
    let rig = scene();
    let mut client = CommandLine::new(&base(&rig), nobody(&rig)).expect("a client");
    let ca = client.ca().expect("GET ca");
    assert_eq!(ca.matches("BEGIN CERTIFICATE").count(), 2, "issuer and root");
    client.bootstrap().expect("an account");
    // Before anybody registered it, it is a stranger, whose order stays pending.
    let refused = client.add(NODE, "server", rig.directory()).err().expect("not yet");
    assert!(refused.contains("pending"), "{refused}");
    node(&rig, &["add", NODE, "--account", &client.account()]);
    let enrolled = client.add(NODE, "server", rig.directory()).expect("add");
    let said = verify(&rig, &enrolled.certificate, rig.directory());
    assert!(said.contains(&format!("CN = {NODE}")) && said.contains(&format!("DNS:{NODE}")), "{said}");
    // Another name than its own it does not get.
    let (_, other) = client.order("other.example.test", "server").expect("an order");
    assert_eq!(other["status"], "pending");
    // Again: `renew` is the same as `add`.
    let renewed = client.add(NODE, "webapp", rig.directory()).expect("renew");
    assert_ne!(renewed.certificate, enrolled.certificate);
    client
        .revoke(renewed.certificate.split_inclusive("-----END CERTIFICATE-----\n").next().expect("a leaf"))
        .expect("revoke");
    let shown = data(&ask(&rig, &nobody(&rig), "GET", &format!("/api/v1/public/certs/{NODE}"), None));
    assert_eq!((&shown["is_revoked"], &shown["revoke_reason"]), (&json!(true), &json!("superseded")));
    rig.environment.signetctl(&["crl", "publish"]).expect("crl publish");
    let crl = client.crl().expect("GET crl");
    let der = std::fs::read({
        use base64::Engine as _;
        let path = rig.directory().join("crl.der");
        std::fs::write(&path, base64::engine::general_purpose::STANDARD.decode(crl).expect("base64")).expect("a file");
        path
    });
    assert!(der.is_ok());
    let mut command = Command::new("openssl");
    command.args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(rig.directory().join("crl.der"));
    assert!(run(&mut command).success().contains("Superseded"));
}

#[test]
fn a_seed_makes_a_node_and_its_certificate_does_the_rest() {
    let rig = scene();
    let (anybody, directory) = (nobody(&rig), rig.directory());
    let seed = node(&rig, &["add", NODE, "--seed"])[1]["secret"].as_str().expect("a seed").to_owned();
    let der = csr(NODE, directory).expect("a CSR");
    let csr = x509_cert::der::pem::encode_string("CERTIFICATE REQUEST", x509_cert::der::pem::LineEnding::LF, &der)
        .expect("PEM");
    let body = json!({"csr": csr, "profile": "server", "seed": seed});
    let answer = ask(&rig, &anybody, "POST", "/api/v1/public/certify", Some(body.clone()));
    let certificate = data(&answer)["certificate"].as_str().expect("PEM").to_owned();
    assert!(verify(&rig, &certificate, directory).contains(&format!("CN = {NODE}")));
    let digits = answer.text();
    let digits = digits.split_once("\"serial\":").expect("a serial").1;
    assert!(digits.chars().take_while(char::is_ascii_digit).count() > 40, "an integer: {digits}");
    // The answer that was lost comes again.
    let again = ask(&rig, &anybody, "POST", "/api/v1/certify", Some(body));
    assert_eq!(data(&again)["certificate"], certificate.as_str());

    let key = std::fs::read_to_string(directory.join("key.pem")).expect("a key");
    let node_tls = somebody(&rig, &certificate, &key);
    let status = data(&ask(&rig, &node_tls, "GET", "/api/v1/client/status", None));
    assert_eq!((&status["status"], &status["dn"]), (&json!("valid"), &json!(format!("/CN={NODE}"))));
    // A header is not a certificate.
    let mut https = Https::new(anybody.clone(), base(&rig).trim_start_matches("https://")).expect("an address");
    let forged = "Host: x\r\nX-SSL-CLIENT-VERIFY: SUCCESS\r\nX-SSL-CLIENT-S-DN: /CN=admin\r\n";
    for path in ["/api/v1/private/nodes", "/api/v1/client/status"] {
        assert_eq!(https.raw("GET", path, forged, &[]).expect("an answer").status, 401, "{path}");
    }
    assert_eq!(ask(&rig, &node_tls, "GET", "/api/v1/private/nodes", None).status, 401);

    // Over mutual TLS any ACME client of the node is known.
    let mut client = CommandLine::new(&base(&rig), node_tls.clone()).expect("a client");
    client.bootstrap().expect("an account");
    let enrolled = client.add(NODE, "server", directory).expect("add");
    verify(&rig, &enrolled.certificate, directory);

    let renewed = data(&ask(&rig, &node_tls, "POST", "/api/v1/client/renew", Some(json!({}))));
    let (new, key) = (renewed["certificate"].as_str().expect("PEM"), renewed["private_key"].as_str().expect("PEM"));
    verify(&rig, new, directory);
    assert_eq!(ask(&rig, &node_tls, "GET", "/api/v1/client/status", None).status, 401, "superseded");
    let node_tls = somebody(&rig, new, key);
    data(&ask(&rig, &node_tls, "GET", "/api/v1/client/certificate", None));

    // An administrator sees the node, and ends it.
    let admin_tls = administrator(&rig);
    let nodes = data(&ask(&rig, &admin_tls, "GET", "/api/v1/private/nodes", None));
    assert_eq!((&nodes["nodes"][0]["cn"], &nodes["nodes"][0]["state"]), (&json!(NODE), &json!("certified")));
    let made = json!({"cn": "db.example.test", "sans": ["db2.example.test"]});
    let made = data(&ask(&rig, &admin_tls, "POST", "/api/v1/private/nodes", Some(made)));
    assert!(
        verify(&rig, made["node"]["certificate"].as_str().expect("PEM"), directory).contains("DNS:db2.example.test")
    );
    let gone = ask(&rig, &admin_tls, "DELETE", &format!("/api/v1/private/nodes/{NODE}"), None);
    assert_eq!(gone.json()["message"], "Node deleted");
    assert_eq!(ask(&rig, &node_tls, "GET", "/api/v1/client/status", None).status, 401, "revoked");
    assert_eq!(node(&rig, &["show", NODE])[0]["state"], "deleted");

    // Sealed, everything that needs the key says so, and the rest goes on.
    rig.environment.signetctl(&["seal"]).expect("seal");
    wait_until("it is sealed", Duration::from_secs(60), || {
        rig::health(&rig.layout).is_ok_and(|health| health["seal"] == "sealed")
    })
    .expect("sealed");
    let answer = ask(&rig, &anybody, "POST", "/api/v1/certify", Some(json!({})));
    assert_eq!((answer.status, &answer.json()["message"]), (503, &json!("strongbox sealed")));
    assert_eq!(answer.json()["code"], "CA_ERROR");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(data(&ask(&rig, &anybody, "GET", "/api/v1/health", None)), json!({"status": "healthy"}));
    // The signer that was sealed ends and another one starts: meanwhile nothing can be journalled.
    wait_until("the other node is deleted", Duration::from_secs(60), || {
        let gone = ask(&rig, &admin_tls, "DELETE", "/api/v1/private/nodes/db.example.test", None);
        assert!(matches!(gone.status, 200 | 503), "{}", gone.text());
        gone.status == 200
    })
    .expect("deleted");
}

#[test]
fn what_is_too_large_is_refused_in_the_dialects_form() {
    let rig = scene();
    let large = json!({"csr": "x".repeat(1 << 20)});
    let answer = ask(&rig, &nobody(&rig), "POST", "/api/v1/certify", Some(large));
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("VALIDATION_ERROR")), "{}", answer.text());
}
