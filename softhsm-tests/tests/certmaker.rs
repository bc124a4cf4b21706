//! CertMaker's dialect against a whole Signet: what its command line, its SDK and its Bot send, request by
//! request from their description, with OpenSSL as the judge of what comes of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy::ocsp::{CertId, HashAlgorithm};
use policy::serial::Serial;
use policy::tbs::{Certificate, Issuer};
use serde_json::{Value, json};
use softhsm_tests::acme::{Answer, Https, tls_config};
use softhsm_tests::clients::run;
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::{wait_for, wait_until};

const SIMPLE: &str = "/api/v1/certificate/request-with-simplerequest";
const CSR: &str = "/api/v1/certificate/request-with-csr";

struct Scene {
    rig: Rig,
    /// What the web server of every name serves as the file of http-01.
    file: Arc<Mutex<String>>,
}

impl Scene {
    fn new() -> Self {
        let rig = Rig::start(&Options { surfaces: Some(vec!["certmaker".to_owned()]), ..Options::default() });
        let file = Arc::<Mutex<String>>::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, rig.record().http01_port)).expect("the port of http-01");
        let served = Arc::clone(&file);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                let request = lines.next().and_then(Result::ok).unwrap_or_default();
                for line in lines.map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                }
                let body = served.lock().expect("a text").clone();
                let status = match request.starts_with("GET /.well-known/certmaker-challenge/token ") {
                    true => "200 OK",
                    false => "404 Not Found",
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { rig, file }
    }

    fn serve(&self, token: &str) {
        token.clone_into(&mut self.file.lock().expect("a text"));
    }

    /// TXT records beside the address of every name.
    fn publish(&self, lines: &str) {
        std::fs::write(self.rig.layout.zone(), format!("* A 127.0.0.1\n{lines}\n")).expect("the zone");
    }

    /// A new account: its token's id and the token.
    fn account(&self, more: &[&str]) -> (String, String) {
        let create = ["--json", "token", "create", "--owner", "web team", "--permit", "revoke"];
        let said = self.rig.environment.signetctl(&[&create, more].concat()).expect("signetctl");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let text = |name: &str| said[name].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    fn base(&self) -> &str {
        self.rig.environment.get("SIGNET_PUBLIC_URL")
    }

    /// One request of a client of CertMaker, on a connection of its own.
    fn send(&self, token: Option<&str>, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> Answer {
        let tls = tls_config(Path::new(self.rig.environment.get("SIGNET_CA_FILE"))).expect("the root certificate");
        let authority = self.base().trim_start_matches("https://").to_owned();
        let mut https = Https::new(tls, &authority).expect("an address");
        let mut head =
            format!("Host: {authority}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n", body.len());
        if let Some(token) = token {
            head.push_str(&format!("X-Auth-Token: {token}\r\n"));
        }
        if let Some(kind) = kind {
            head.push_str(&format!("Content-Type: {kind}\r\nAccept: application/ocsp-response\r\n"));
        }
        https.raw(method, path, &head, body).expect("an answer")
    }

    /// As its command line and its SDK write the certificate and the key of a 201.
    fn write(&self, answer: &Answer, name: &str) -> (PathBuf, PathBuf) {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let place = |kind: &str| self.rig.directory().join(format!("{name}.{kind}.pem"));
        let pem = |member: &str, label: &str, place: &Path| {
            let Some(text) = answer.json()[member].as_str().map(str::to_owned) else { return };
            let der = STANDARD.decode(text).expect("base64");
            let pem = x509_cert::der::pem::encode_string(label, x509_cert::der::pem::LineEnding::LF, &der);
            std::fs::write(place, pem.expect("PEM")).expect("a file");
        };
        let (certificate, key) = (place("crt"), place("key"));
        pem("certificate_pem", "CERTIFICATE", &certificate);
        pem("private_key_pem", "PRIVATE KEY", &key);
        (certificate, key)
    }

    /// OpenSSL trusts the certificate for a server and a client; what it says of it.
    fn verify(&self, certificate: &Path) -> String {
        for purpose in ["sslserver", "sslclient"] {
            let mut command = Command::new("openssl");
            command.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]);
            command.arg(self.rig.environment.get("SIGNET_CA_FILE"));
            command.args(["-untrusted", self.rig.environment.get("SIGNET_ISSUER_FILE")]);
            run(command.arg(certificate)).success();
        }
        run(Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(certificate)).success()
    }

    /// What the responder says once it says that the certificate is revoked: an answer from before may be
    /// served for half a second.
    fn revoked(&self, certificate: &Path, digest: &str) -> String {
        wait_for("it is revoked", Duration::from_secs(30), || {
            Some(self.ocsp(certificate, digest)).filter(|said| said.contains(": revoked"))
        })
        .expect("revoked")
    }

    /// What OpenSSL is told of a certificate over OCSP, asked as CertMaker's documentation has it.
    fn ocsp(&self, certificate: &Path, digest: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(["ocsp", digest, "-issuer", self.rig.environment.get("SIGNET_ISSUER_FILE"), "-cert"]);
        command.arg(certificate).args(["-no_nonce", "-CAfile", self.rig.environment.get("SIGNET_CA_FILE")]);
        run(command.args(["-url", &format!("{}/api/v1/ocsp", self.base())])).success()
    }
}

/// The challenge of that type in a 202: id and token.
fn challenge(answer: &Answer, kind: &str) -> (String, String) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let body = answer.json();
    let all = body["challenges"].as_array().expect("challenges");
    let one = all.iter().find(|one| one["challenge_type"] == kind).expect("a challenge of that type");
    let text = |name: &str| one[name].as_str().expect("a text").to_owned();
    (text("challenge_id"), text("challenge_token"))
}

fn decimal(certificate: &Path) -> String {
    softhsm_tests::clients::serial(certificate).parse::<Serial>().expect("a serial number").to_decimal()
}

#[test]
fn certmakers_clients_get_their_certificates_and_revoke_them() {
    let scene = Scene::new();
    let (_, token) = scene.account(&["--permit", "order-certificate"]);
    let token = Some(token.as_str());

    // `cm order sr --challenge dns-01`: it prints the record with one underscore, and waits for its user.
    let asked = json!({"domains": ["a.example.test", "b.example.test"], "ips": null, "email_addresses": null,
        "subject": {"common_name": "", "organization": "Example"}, "days": 30});
    let answer = scene.send(token, "POST", SIMPLE, None, asked.to_string().as_bytes());
    let (id, text) = challenge(&answer, "dns-01");
    let early = scene.send(token, "GET", &format!("/api/v1/dns-01/{id}/solve"), None, &[]);
    assert_eq!(early.status, 400);
    assert!(early.json()["error"].as_str().expect("an error").starts_with("DNS check of TXT record for __certmaker"));
    scene.publish(&format!(
        "_certmaker_challenge.a.example.test TXT {text}\n__certmaker_challenge.b.example.test TXT {text}"
    ));
    let solved = scene.send(token, "GET", &format!("/api/v1/dns-01/{id}/solve"), None, &[]);
    let (certificate, key) = scene.write(&solved, "dns");
    let said = scene.verify(&certificate);
    assert!(said.contains("DNS:a.example.test, DNS:b.example.test") && !said.contains("O = Example"), "{said}");
    let public = |command: &mut Command| run(command).success();
    assert_eq!(
        public(Command::new("openssl").args(["x509", "-noout", "-pubkey", "-in"]).arg(&certificate)),
        public(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key)),
    );

    // `cm order sr --challenge http-01`, with a web server where the validator looks; an address beside the name.
    let asked = json!({"domains": ["a.example.test"], "ips": ["127.0.0.1", "127.0.0.2"]});
    let answer = scene.send(token, "POST", SIMPLE, None, asked.to_string().as_bytes());
    let (id, _) = challenge(&answer, "http-01");
    let port = json!({"challenge_port": 0}).to_string();
    let refused = scene.send(token, "POST", &format!("/api/v1/http-01/{id}/solve"), None, port.as_bytes());
    assert_eq!(refused.status, 400);
    let asked = json!({"domains": ["a.example.test"], "ips": ["127.0.0.1"], "preferred_challenge": "http-01"});
    let answer = scene.send(token, "POST", SIMPLE, None, asked.to_string().as_bytes());
    let (id, text) = challenge(&answer, "http-01");
    scene.serve(&text);
    let solved = scene.send(token, "POST", &format!("/api/v1/http-01/{id}/solve"), None, port.as_bytes());
    let (by_http, _) = scene.write(&solved, "http");
    assert!(scene.verify(&by_http).contains("IP Address:127.0.0.1"));

    // Its SDK: the root with the one media type that it takes, no token on requests, GET for http-01.
    let root = scene.send(token, "GET", "/api/v1/root-certificate/obtain", None, &[]);
    assert_eq!((root.status, root.header("content-type")), (200, Some("application/x-pem-file")));
    let known = std::fs::read_to_string(scene.rig.environment.get("SIGNET_CA_FILE")).expect("the root");
    assert!(known.contains(root.text().trim()), "{}", root.text());
    let asked = json!({"domains": ["c.example.test"], "emails": [], "preferred_challenge": "http-01"}).to_string();
    assert_eq!(scene.send(None, "POST", SIMPLE, Some("application/json"), asked.as_bytes()).status, 401);
    let answer = scene.send(token, "POST", SIMPLE, Some("application/json"), asked.as_bytes());
    let body = answer.json();
    assert_eq!((answer.status, &body["http01_challenge"], &body["dns01_challenge"]), (202, &json!(true), &json!(true)));
    scene.serve(body["challenge_token"].as_str().expect("a token"));
    let id = body["challenge_id"].as_str().expect("an id");
    let solved = scene.send(token, "GET", &format!("/api/v1/http-01/{id}/solve"), None, &[]);
    let (by_sdk, _) = scene.write(&solved, "sdk");
    scene.verify(&by_sdk);
    // Its strict mode asks over OCSP with SHA-512.
    let pem = std::fs::read(scene.rig.environment.get("SIGNET_ISSUER_FILE")).expect("the issuer");
    let (_, issuer) = x509_cert::der::pem::decode_vec(&pem).expect("PEM");
    let serial = softhsm_tests::clients::serial(&by_sdk).parse().expect("a serial number");
    let id = CertId::new(HashAlgorithm::Sha512, &Issuer::from_der(&issuer).expect("a certificate"), serial);
    let wrap = |inner: &[u8]| [&[0x30, 0x81, u8::try_from(inner.len()).expect("short")][..], inner].concat();
    let request = wrap(&wrap(&wrap(&wrap(id.as_der()))));
    let answer = scene.send(None, "POST", "/api/v1/ocsp", Some("application/ocsp-request"), &request);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/ocsp-response")));

    // `cm order csr`, for names that need no proof; people send PEM.
    let directory = scene.rig.directory();
    let (key, csr) = (directory.join("own.key"), directory.join("own.csr"));
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/O=x"]);
    command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"]).arg(&key).arg("-out").arg(&csr);
    run(&mut command).success();
    let pem = std::fs::read(&csr).expect("a CSR");
    let (_, der) = x509_cert::der::pem::decode_vec(&pem).expect("PEM");
    for body in [&der, &pem] {
        let answer = scene.send(token, "POST", CSR, None, body);
        assert!(answer.json().get("private_key_pem").is_none());
        let (certificate, _) = scene.write(&answer, "csr");
        assert!(scene.verify(&certificate).contains("DNS:localhost, IP Address:127.0.0.1"));
    }

    // Its Bot, which knows no challenges.
    let asked = json!({"Domains": ["localhost"], "IPs": ["127.0.0.1"], "Subject": {"Organization": "x"}, "Days": 20});
    let answer = scene.send(token, "POST", "/api/v1/certificate/request", None, asked.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let fetch = |name: &str| {
        let place = answer.header(name).expect("a place").strip_prefix(scene.base()).expect("a URL of ours").to_owned();
        scene.send(token, "GET", &place, None, &[])
    };
    let (certificate, key) = (fetch("x-certificate-location"), fetch("x-privatekey-location"));
    assert_eq!((certificate.status, key.status), (200, 200));
    let bots = directory.join("bot.crt.pem");
    std::fs::write(&bots, &certificate.body).expect("a file");
    std::fs::write(directory.join("bot.key.pem"), &key.body).expect("a file");
    scene.verify(&bots);
    run(Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(directory.join("bot.key.pem"))).success();
    assert_eq!(fetch("x-privatekey-location").status, 404, "once");

    // `cm revoke`: its uint64 cannot hold the number, so it names another one; digits do.
    assert!(["-sha1", "-sha256", "-sha512"].iter().all(|digest| scene.ocsp(&by_http, digest).contains(": good")));
    let digits = decimal(&by_http);
    let number = Serial::from_decimal(&digits).expect("a serial number");
    let cut = u64::from_be_bytes(number.as_bytes()[12..].try_into().expect("eight octets"));
    let revoke = "/api/v1/certificate/revoke";
    let json_type = Some("application/json");
    let send = |who, body: String| scene.send(who, "POST", revoke, json_type, body.as_bytes()).status;
    assert_eq!(send(token, format!("{{\"SerialNumber\":{cut},\"Reason\":\"superseded\"}}")), 400);
    let (_, other) = scene.account(&["--permit", "order-certificate"]);
    let whole = format!("{{\"SerialNumber\":{},\"Reason\":\"superseded\"}}", decimal(&by_http));
    assert_eq!(send(Some(&other), whole.clone()), 403);
    assert_eq!((send(token, whole.clone()), send(token, whole)), (200, 410));
    assert!(scene.revoked(&by_http, "-sha256").contains("superseded"));
    let path = format!("/api/v1/certificate/{}/revoke", decimal(&by_sdk));
    let (_, admin) = scene.account(&["--everything"]);
    assert_eq!(scene.send(Some(&admin), "POST", &path, None, &[]).status, 200);
    assert_eq!(scene.send(token, "POST", &path, None, &[]).status, 410);
    scene.revoked(&by_sdk, "-sha1");

    // What was shown, and how, stands in the journal and can be asked for.
    let leaf = Certificate::from_der(
        &x509_cert::der::pem::decode_vec(&std::fs::read(&by_http).expect("a file")).expect("PEM").1,
    );
    assert_eq!(leaf.expect("a certificate").names().len(), 2);
    sealed(&scene, token);
}

/// Sealed, everything that needs the key says so, in the form of the dialect.
fn sealed(scene: &Scene, token: Option<&str>) {
    scene.rig.environment.signetctl(&["seal"]).expect("seal");
    wait_until("it is sealed", Duration::from_secs(60), || {
        rig::health(&scene.rig.layout).is_ok_and(|health| health["seal"] == "sealed")
    })
    .expect("sealed");
    let answer = scene.send(None, "POST", SIMPLE, None, b"{}");
    assert_eq!((answer.status, answer.json()), (503, json!({"error": "strongbox sealed"})));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(scene.send(token, "GET", "/api/v1/root-certificate/obtain", None, &[]).status, 200);
}

#[test]
fn accounts_are_locked_disabled_and_revoked_and_errors_have_the_dialects_form() {
    let scene = Scene::new();
    let (id, token) = scene.account(&["--permit", "order-certificate", "--name", ".example.test"]);
    let status = || scene.send(Some(&token), "GET", "/api/v1/root-certificate/obtain", None, &[]).status;
    for (verb, expected) in [("lock", 200), ("disable", 401), ("enable", 200), ("revoke", 401)] {
        scene.rig.environment.signetctl(&["token", verb, &id]).expect("signetctl");
        assert_eq!(status(), expected, "{verb}");
    }
    let large = vec![b'x'; 1 << 20];
    let answer = scene.send(Some(&token), "POST", CSR, None, &large);
    assert_eq!(answer.status, 413);
    assert!(answer.json()["error"].is_string(), "{}", answer.text());
    // Metrics count what is asked for under the name of the surface.
    let metrics = Command::new("curl")
        .args(["--silent", "--fail", "--unix-socket"])
        .arg(scene.rig.layout.health())
        .arg("http://local/metrics")
        .output()
        .expect("curl");
    let metrics = String::from_utf8_lossy(&metrics.stdout).into_owned();
    assert!(metrics.contains("signet_http_requests_total{surface=\"certmaker\",status=\"413\"} 1"), "{metrics}");
}
