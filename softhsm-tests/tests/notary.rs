//! The Notary dialect against a whole Signet: the requests of its Kubernetes operator, of both generations, in
//! their order, and OpenSSL as the judge of what comes of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use softhsm_tests::acme::{Answer, Https, tls_config};
use softhsm_tests::clients::run;
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::wait_until;

const EMAIL: &str = "charm@example.com";
const PASSWORD: &str = "Correct-horse1";

/// What the operator's library does, in the shape of a generation.
struct Operator {
    https: Https,
    /// Where answers have what was asked for, and errors what is wrong.
    members: (&'static str, &'static str),
    /// How a session is shown, header by header.
    session: String,
}

impl Operator {
    /// That reads `result` and `error`, and shows its session as a bearer.
    fn older(rig: &Rig) -> Self {
        Self { https: https(rig), members: ("result", "error"), session: String::new() }
    }

    /// That reads `data` and `message`, and takes its session from a cookie.
    fn newer(rig: &Rig) -> Self {
        Self { https: https(rig), members: ("data", "message"), session: String::new() }
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map_or(String::new(), |body| body.to_string());
        let head = format!(
            "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}",
            body.len(),
            self.session
        );
        self.https.raw(method, path, &head, body.as_bytes()).expect("an answer")
    }

    /// What a success of this status holds.
    fn get(&mut self, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer.json()[self.members.0].clone()
    }

    fn is_initialized(&mut self) -> bool {
        self.get("GET", "/status", None, 200)["initialized"].as_bool().expect("a truth value")
    }

    fn login(&mut self) {
        let answer = self.ask("POST", "/login", Some(json!({"email": EMAIL, "password": PASSWORD})));
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.session = match self.members.0 {
            "result" => {
                let token = answer.json()["result"]["token"].as_str().expect("a token").to_owned();
                format!("Authorization: Bearer {token}\r\n")
            }
            _ => {
                let cookie =
                    answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
                let token = cookie.strip_prefix("user_token=").expect("its name").to_owned();
                format!("Authorization: Bearer {token}\r\nCookie: {cookie}\r\n")
            }
        };
        assert_eq!(self.get("GET", "/api/v1/accounts/me", None, 200)["email"], EMAIL);
    }

    /// The request whose text is this one.
    fn request(&mut self, csr: &str) -> Value {
        let list = self.get("GET", "/api/v1/certificate_requests", None, 200);
        let found: Vec<&Value> = list.as_array().expect("a list").iter().filter(|one| one["csr"] == csr).collect();
        assert_eq!(found.len(), 1, "{list}");
        found[0].clone()
    }

    fn submit(&mut self, csr: &str) -> u64 {
        let made = self.get("POST", "/api/v1/certificate_requests", Some(json!({"csr": csr})), 201);
        made["id"].as_u64().expect("a number")
    }

    /// What the operator does for its own certificate: it asks, signs with a CA of its own, and puts the chain there.
    fn serves_itself(&mut self, directory: &Path, name: &str) {
        let (csr, chain) = own_certificate(directory, name);
        let id = self.submit(&csr);
        assert_eq!(self.request(&csr)["status"], "Outstanding");
        let path = format!("/api/v1/certificate_requests/{id}/certificate");
        let made = self.get("POST", &path, Some(json!({"certificate": chain.join("\n")})), 201);
        assert_eq!(made["id"], id);
        let request = self.request(&csr);
        let shown: Vec<&str> = blocks(request["certificate_chain"].as_str().expect("PEM"));
        assert_eq!((&request["status"], shown), (&json!("Active"), chain.iter().map(String::as_str).collect()));
    }
}

fn https(rig: &Rig) -> Https {
    let tls = tls_config(Path::new(rig.environment.get("SIGNET_CA_FILE"))).expect("the root certificate");
    Https::new(tls, rig.environment.get("SIGNET_PUBLIC_URL").trim_start_matches("https://")).expect("an address")
}

/// The certificates of a chain, without what stands between them.
fn blocks(pem: &str) -> Vec<&str> {
    pem.split_inclusive("-----END CERTIFICATE-----").map(str::trim).filter(|block| !block.is_empty()).collect()
}

fn openssl(arguments: &[&str], directory: &Path) -> String {
    run(Command::new("openssl").args(arguments).current_dir(directory)).success()
}

/// The serial number of the certificate in `leaf.pem`, hexadecimal.
fn serial(directory: &Path) -> String {
    let said = openssl(&["x509", "-noout", "-serial", "-in", "leaf.pem"], directory);
    said.split_once("serial=").expect("a serial number").1.trim().to_owned()
}

fn csr(directory: &Path, name: &str) -> String {
    let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    let request = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem"];
    openssl(&[&request[..], &["-subj", &subject, "-addext", &names]].concat(), directory);
    std::fs::read_to_string(directory.join("csr.pem")).expect("a CSR")
}

/// A CSR, and a chain for it by a CA in files.
fn own_certificate(directory: &Path, name: &str) -> (String, Vec<String>) {
    let csr = csr(directory, name);
    let ca = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30"];
    openssl(&[&ca[..], &["-sha512", "-subj", "/CN=A charm's own CA"]].concat(), directory);
    let sign = ["x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-sha512"];
    openssl(&[&sign[..], &["-days", "10", "-out", "leaf.pem"]].concat(), directory);
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("a certificate").trim().to_owned();
    (csr, vec![read("leaf.pem"), read("ca.pem")])
}

#[test]
fn the_operator_of_either_generation_does_its_work() {
    let rig = Rig::start(&Options { surfaces: Some(vec!["notary".to_owned()]), ..Options::default() });
    let directory = rig.directory();
    let mut newer = Operator::newer(&rig);
    assert!(!newer.is_initialized());
    let account = json!({"email": EMAIL, "password": PASSWORD});
    assert_eq!(newer.get("POST", "/api/v1/accounts", Some(account.clone()), 201)["id"], 1);
    assert!(newer.is_initialized());
    let refused = newer.ask("POST", "/api/v1/accounts", Some(account));
    assert_eq!((refused.status, &refused.json()["message"]), (401, &json!("unauthorized")));
    newer.login();
    newer.serves_itself(directory, "newer.example.test");
    let mut older = Operator::older(&rig);
    assert!(older.is_initialized());
    older.login();
    older.serves_itself(directory, "older.example.test");

    // A request that a manager signs: OpenSSL trusts what comes back, for both of TLS' ends.
    let csr = csr(directory, "web.example.test");
    let id = newer.submit(&csr);
    let path = format!("/api/v1/certificate_requests/{id}");
    newer.get("POST", &format!("{path}/sign"), Some(json!({"certificate_authority_id": "1"})), 202);
    let request = older.request(&csr);
    let chain = request["certificate_chain"].as_str().expect("PEM").to_owned();
    let certificates = blocks(&chain);
    assert_eq!((&request["status"], certificates.len()), (&json!("Active"), 3));
    for (file, content) in ["leaf.pem", "issuer.pem", "root.pem"].iter().zip(&certificates) {
        std::fs::write(directory.join(file), format!("{content}\n")).expect("a file");
    }
    for purpose in ["sslserver", "sslclient"] {
        let verify = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root.pem"];
        openssl(&[&verify[..], &["-untrusted", "issuer.pem", "leaf.pem"]].concat(), directory);
    }
    let said = openssl(&["x509", "-noout", "-subject", "-ext", "subjectAltName", "-in", "leaf.pem"], directory);
    assert!(said.contains("CN = web.example.test") && said.contains("DNS:web.example.test"), "{said}");

    // Revoked, it is on the CRL.
    newer.get("POST", &format!("{path}/certificate/revoke"), None, 202);
    assert_eq!(older.request(&csr)["status"], "Revoked");
    rig.environment.signetctl(&["crl", "publish"]).expect("crl publish");
    let serial = serial(directory).to_lowercase();
    let shown = rig.environment.signetctl(&["--json", "cert", "show", &serial]).expect("cert show");
    assert!(shown.contains("revoked"), "{shown}");

    // What another CA signed is not ours to revoke.
    let foreign = newer.ask("POST", "/api/v1/certificate_requests/1/certificate/revoke", None);
    assert_eq!(foreign.status, 422, "{}", foreign.text());
    newer.get("POST", "/api/v1/certificate_requests/1/reject", None, 202);
    newer.get("DELETE", "/api/v1/certificate_requests/1", None, 202);
    let gone = older.ask("GET", "/api/v1/certificate_requests/1", None);
    assert_eq!((gone.status, &gone.json()["error"]), (404, &json!("Not Found")));

    // Administrators see the accounts, and a reset ends the sessions.
    let accounts = rig.environment.signetctl(&["notary", "account", "list"]).expect("account list");
    assert!(accounts.contains(EMAIL), "{accounts}");
    let file = directory.join("password");
    std::fs::write(&file, "Another-horse1\n").expect("a file");
    let file = file.display().to_string();
    rig.environment.signetctl(&["notary", "account", "reset", "1", "--password-file", &file]).expect("account reset");
    assert_eq!(newer.ask("GET", "/api/v1/accounts/me", None).status, 401);
    let metrics = newer.ask("GET", "/metrics", None).text();
    assert!(metrics.contains("\ncertificate_requests ") && metrics.contains("\nhttp_requests_total{"), "{metrics}");

    // Sealed, everything but the status says so.
    rig.environment.signetctl(&["seal"]).expect("seal");
    wait_until("it is sealed", Duration::from_secs(60), || {
        rig::health(&rig.layout).is_ok_and(|health| health["seal"] == "sealed")
    })
    .expect("sealed");
    for (method, path) in [
        ("POST", "/login"),
        ("GET", "/api/v1/certificate_requests"),
        ("GET", "/api/v1/accounts/me"),
        ("GET", "/api/v1/config"),
    ] {
        let answer = newer.ask(method, path, None);
        let expected = json!({"error": "strongbox sealed", "message": "strongbox sealed"});
        assert_eq!((answer.status, answer.json()), (503, expected), "{path}");
        assert!(answer.header("retry-after").is_some());
    }
    assert!(newer.is_initialized());
}

#[test]
fn what_the_http_layer_refuses_is_said_in_the_dialects_form() {
    let rig = Rig::start(&Options { surfaces: Some(vec!["notary".to_owned()]), ..Options::default() });
    let mut operator = Operator::newer(&rig);
    let answer = operator.ask("POST", "/api/v1/certificate_requests", Some(json!({"csr": "x".repeat(1 << 20)})));
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (413, &json!("request body too large")),
        "{}",
        answer.text()
    );
    let answer = operator.ask("GET", "/api/v1/nothing", None);
    assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("Not Found")), "{}", answer.text());
}

#[test]
fn a_manager_makes_authorities_that_sign_and_are_signed() {
    let rig = Rig::start(&Options {
        surfaces: Some(vec!["notary".to_owned()]),
        settings: Some("[notary]\nauthorities = \"departments\"\n".to_owned()),
        ..Options::default()
    });
    let directory = rig.directory();
    let profile = format!(
        "version = 1\ndescription = \"Departments\"\nvalidity = \"3652d\"\n[authority]\n\
         kinds = [\"self-signed\", \"intermediate\"]\nkeys = [\"p256\"]\nmaximum = 4\nissues = [\"node\"]\n\
         pki_url = \"{}\"\n",
        rig.environment.get("SIGNET_PKI_URL")
    );
    std::fs::write(rig.layout.config().join("profiles/departments.toml"), profile).expect("a profile");
    for service in ["signetd", "signer-ca"] {
        rig.signal(service, rustix::process::Signal::HUP);
        wait_until("the files are read again", Duration::from_secs(180), || {
            std::fs::read_to_string(rig.layout.log(service)).expect("a log").contains("were read again")
        })
        .expect(service);
    }
    let mut operator = Operator::newer(&rig);
    operator.get("POST", "/api/v1/accounts", Some(json!({"email": EMAIL, "password": PASSWORD})), 201);
    operator.login();
    let authorities = "/api/v1/certificate_authorities";
    let make = |operator: &mut Operator, self_signed: bool, name: &str| {
        let wish =
            json!({"self_signed": self_signed, "common_name": name, "country_name": "DE", "organization_name": "Ours"});
        operator.get("POST", authorities, Some(wish), 201)["id"].as_u64().expect("a number")
    };
    let (root, issuing) = (make(&mut operator, true, "Departments"), make(&mut operator, false, "Department 1"));
    assert_eq!((root, issuing), (2, 3));
    let pending = operator.get("GET", &format!("{authorities}/3"), None, 200);
    assert_eq!(
        (&pending["enabled"], &pending["status"], &pending["certificate"]),
        (&json!(false), &json!("pending"), &json!(""))
    );
    // A CA's CSR is no certificate request.
    let refused = operator.ask("POST", "/api/v1/certificate_requests", Some(json!({"csr": pending["csr"]})));
    assert_eq!((refused.status, &refused.json()["message"]), (400, &json!("given csr already recorded")));
    let csr = csr(directory, "web.example.test");
    let id = operator.submit(&csr);
    let sign = |operator: &mut Operator| {
        operator.ask(
            "POST",
            &format!("/api/v1/certificate_requests/{id}/sign"),
            Some(json!({"certificate_authority_id": "3"})),
        )
    };
    assert_eq!(sign(&mut operator).status, 400, "it has no certificate yet");
    operator.get("POST", &format!("{authorities}/3/sign"), Some(json!({"certificate_authority_id": "2"})), 202);
    operator.get("PUT", &format!("{authorities}/3"), Some(json!({"enabled": false})), 200);
    assert_eq!(sign(&mut operator).status, 400, "it is disabled");
    operator.get("PUT", &format!("{authorities}/3"), Some(json!({"enabled": true})), 200);
    let signed = sign(&mut operator);
    assert_eq!(signed.status, 202, "{}", signed.text());
    let request = operator.request(&csr);
    let chain = request["certificate_chain"].as_str().expect("PEM").to_owned();
    let certificates = blocks(&chain);
    assert_eq!(certificates.len(), 3, "{chain}");
    for (file, content) in ["leaf.pem", "issuer.pem", "root.pem"].iter().zip(&certificates) {
        std::fs::write(directory.join(file), format!("{content}\n")).expect("a file");
    }
    openssl(&["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "issuer.pem", "leaf.pem"], directory);

    // Revoked, it is on the CRL of its own CA, which anybody may read.
    operator.get("POST", &format!("/api/v1/certificate_requests/{id}/certificate/revoke"), None, 202);
    let serial = serial(directory);
    let mut nobody = Operator::newer(&rig);
    wait_until("it is on the CRL", Duration::from_secs(180), || {
        let crl =
            nobody.get("GET", &format!("{authorities}/3/crl"), None, 200)["crl"].as_str().expect("PEM").to_owned();
        std::fs::write(directory.join("crl.pem"), crl).expect("a file");
        openssl(&["crl", "-noout", "-text", "-in", "crl.pem"], directory).contains(&serial)
    })
    .expect("a CRL");

    // The end of both.
    operator.get("POST", &format!("{authorities}/3/revoke"), None, 202);
    assert_eq!(operator.get("GET", &format!("{authorities}/3"), None, 200)["enabled"], json!(false));
    operator.get("DELETE", &format!("{authorities}/2"), None, 200);
    let gone = operator.ask("GET", &format!("{authorities}/2"), None);
    assert_eq!(gone.status, 404, "{}", gone.text());
    let list = operator.get("GET", authorities, None, 200);
    let numbers: Vec<u64> = list.as_array().expect("a list").iter().filter_map(|one| one["id"].as_u64()).collect();
    assert_eq!(numbers, [1, 3]);

    // Secrets of ACME servers are kept under a key in the token, and come back to nobody.
    let server = json!({
        "name": "Elsewhere", "directory_url": "https://acme.example.test/directory", "email": EMAIL,
        "dns_provider": "hetzner", "env_vars": {"TOKEN": "very-secret"}
    });
    let made = operator.get("POST", "/api/v1/acme_servers", Some(server), 201);
    assert_eq!(made["env_var_keys"], json!(["TOKEN"]));
    let shown = operator.ask("GET", "/api/v1/acme_servers", None).text();
    assert!(shown.contains("Elsewhere") && !shown.contains("very-secret"), "{shown}");
    // The store has a directory of its engine's.
    let files = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    };
    let below = files(&rig.layout.store()).into_iter().filter(|path| path.is_dir()).flat_map(|path| files(&path));
    let kept: String = below
        .filter(|path| path.is_file())
        .map(|path| std::fs::read(path).expect("a file"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(kept.contains("Elsewhere") && !kept.contains("very-secret"));
}
