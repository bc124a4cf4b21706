//! Issuing CAs that are made while the appliance runs, with a real token, judged by strangers.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use softhsm_tests::clients::{Said, pkilint, pkilint_exceptions, run};
use softhsm_tests::rig::{self, Options, Rig};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(180);

struct Scene {
    rig: Rig,
}

impl Scene {
    /// With a profile that allows authorities.
    fn new() -> Self {
        let scene = Self { rig: Rig::start(&Options::default()) };
        let file = scene.rig.layout.config().join("profiles/departments.toml");
        let pki = scene.rig.environment.get("SIGNET_PKI_URL");
        let text = format!(
            "version = 1\ndescription = \"Departments\"\nvalidity = \"3652d\"\n[authority]\n\
             kinds = [\"self-signed\", \"intermediate\"]\nkeys = [\"p256\", \"p384\", \"rsa2048\"]\nmaximum = 4\n\
             issues = [\"server\"]\npki_url = \"{pki}\"\n"
        );
        std::fs::write(file, text).expect("a profile");
        for service in ["signetd", "signer-ca"] {
            let log = || std::fs::read_to_string(scene.rig.layout.log(service)).expect("a log");
            scene.rig.signal(service, Signal::HUP);
            wait_until("the files are read again", PATIENCE, || log().contains("were read again")).expect(service);
        }
        scene
    }

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

    fn create(&self, kind: &str, common_name: &str, more: &[&str]) -> Value {
        let create = ["ca", "create", "--of-profile", "departments", "--kind", kind, "--common-name", common_name];
        self.json(&[&create[..], more].concat())
    }

    /// A certificate for `name` by that authority, and its chain, in `NAME.pem`.
    fn issue(&self, by: &str, name: &str) -> PathBuf {
        let (file, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let issue = ["cert", "issue", "--generate", "p256", "--of-profile", "server", "--by", by, "--name", name];
        let files = ["--key-out", key.to_str().expect("plain"), "--out", file.to_str().expect("plain")];
        self.ctl(&[&issue[..], &files].concat());
        file
    }

    fn refused_issue(&self, by: &str, profile: &str) -> String {
        let key = self.path("none.key");
        let key = key.to_str().expect("plain");
        let issue = ["cert", "issue", "--generate", "p256", "--of-profile", profile, "--by", by];
        self.refused(&[&issue[..], &["--name", "none.example.test", "--key-out", key]].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.rig.directory().join(name)
    }

    /// Writes the certificate of an authority alone, and says where.
    fn certificate(&self, number: &str) -> PathBuf {
        let file = self.path(&format!("authority-{number}.pem"));
        let shown = self.json(&["ca", "show", number]);
        std::fs::write(&file, shown["chain"][0].as_str().expect("a certificate")).expect("a file");
        file
    }

    fn fetch(&self, path: &str) -> Option<Vec<u8>> {
        let url = format!("{}{path}", self.rig.environment.get("SIGNET_PKI_URL"));
        let output = Command::new("curl").args(["--silent", "--fail", "--noproxy", "*", &url]).output().expect("curl");
        output.status.success().then_some(output.stdout)
    }

    /// The CRL of an authority as PEM, once there is one that `fits`.
    fn crl(&self, number: &str, fits: impl Fn(&str) -> bool) -> PathBuf {
        let (der, pem) = (self.path(&format!("{number}.crl")), self.path(&format!("{number}.crl.pem")));
        wait_until("there is such a CRL", PATIENCE, || {
            let Some(bytes) = self.fetch(&format!("/crl/authority-{number}.crl")) else { return false };
            std::fs::write(&der, bytes).expect("a file");
            let mut openssl = Command::new("openssl");
            openssl.args(["crl", "-inform", "DER", "-text", "-in"]).arg(&der).arg("-out").arg(&pem);
            run(&mut openssl).success();
            fits(&std::fs::read_to_string(&pem).expect("a file"))
        })
        .expect("a CRL");
        pem
    }

    /// What OpenSSL says of a chain whose every certificate must be on no CRL.
    fn verify(&self, root: &PathBuf, leaf: &PathBuf, crls: &[PathBuf]) -> Said {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-CAfile"]).arg(root).arg("-untrusted").arg(leaf);
        for crl in crls {
            command.arg("-CRLfile").arg(crl);
        }
        run(command.arg(leaf))
    }

    /// What the OCSP responder says of a certificate, to OpenSSL.
    fn status(&self, root: &PathBuf, issuer: &PathBuf, leaf: &PathBuf) -> String {
        let url = format!("{}/ocsp", self.rig.environment.get("SIGNET_PKI_URL"));
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-no_nonce", "-url", &url, "-issuer"]).arg(issuer).arg("-CAfile").arg(root);
        run(command.arg("-cert").arg(leaf)).text
    }

    fn kill(&self, service: &str) {
        self.rig.wait_until_ready();
        let before = self.rig.service(service).restarts;
        self.rig.signal(service, Signal::KILL);
        wait_until("it is started again", PATIENCE, || {
            let health = self.rig.service(service);
            health.restarts > before && health.ready
        })
        .expect("a restart");
        self.rig.wait_until_ready();
    }
}

#[test]
fn a_root_and_an_intermediate_are_made_used_retired_and_revoked_and_strangers_agree() {
    let scene = Scene::new();
    let who =
        ["--country", "DE", "--organization", "Example Works", "--organizational-unit", "IT", "--key-kind", "p384"];
    let root = scene.create("self-signed", "Departments", &who);
    assert_eq!((&root["number"], &root["standing"]), (&2.into(), &"enabled".into()));
    assert_eq!(root["subject"], "CN=Departments,OU=IT,O=Example Works,C=DE");
    scene.kill("signer-ca");
    let below = scene.create("intermediate", "Department 1", &[]);
    assert_eq!((&below["number"], &below["standing"]), (&3.into(), &"pending".into()));
    let csr = scene.path("3.csr");
    std::fs::write(&csr, scene.ctl(&["ca", "show", "3", "--csr"])).expect("a file");
    let checked = run(Command::new("openssl").args(["req", "-verify", "-noout", "-text", "-in"]).arg(&csr)).success();
    assert!(checked.contains("CN=Department 1") && checked.contains("CA:TRUE"), "{checked}");
    assert!(scene.refused_issue("3", "server").contains("no certificate yet"));
    scene.kill("signetd");
    // What the ceremony's CA has signed can be no CA.
    assert!(scene.refused(&["ca", "sign", "3", "--by", "1"]).contains("path length"));
    let below = scene.json(&["ca", "sign", "3", "--by", "2"]);
    assert_eq!((&below["standing"], below["chain"].as_array().map(Vec::len)), (&"enabled".into(), Some(2)));

    let (top, middle) = (scene.certificate("2"), scene.certificate("3"));
    let leaf = scene.issue("3", "www.example.test");
    let crls = [scene.crl("2", |_| true), scene.crl("3", |_| true)];
    scene.verify(&top, &leaf, &crls).success();
    for file in [&top, &middle] {
        assert_eq!(pkilint("lint_pkix_cert", &[file.as_path()], &pkilint_exceptions()), Vec::<String>::new());
    }
    wait_until("the responder has a certificate", PATIENCE, || scene.status(&top, &middle, &leaf).contains(": good"))
        .unwrap_or_else(|error| panic!("{error}: {}", scene.status(&top, &middle, &leaf)));
    // What certificates name is there.
    for (number, file) in [("2", &top), ("3", &middle)] {
        let identifier = scene.json(&["ca", "show", number])["key_identifier"].as_str().expect("one").to_owned();
        let pem = scene.fetch(&format!("/ca/{identifier}.pem")).expect("the certificate");
        assert_eq!(pem, std::fs::read(file).expect("a file"));
        assert!(scene.fetch(&format!("/crl/{identifier}.crl")).is_some());
    }
    let serial = softhsm_tests::clients::serial(&leaf).to_lowercase();
    assert_eq!(scene.json(&["cert", "show", &serial])["issuer"], "CN=Department 1");
    assert!(scene.refused_issue("3", "client").contains("add it to `issues`"));

    // A leaf is revoked, on the CRL and in the answers of the one who signed it.
    scene.ctl(&["cert", "revoke", &serial, "--reason", "superseded", "--yes"]);
    let listed = scene.crl("3", |text| text.to_lowercase().contains(&serial));
    let said = scene.verify(&top, &leaf, &[crls[0].clone(), listed]);
    assert!(said.failure().contains("certificate revoked"));
    assert!(scene.status(&top, &middle, &leaf).contains(": revoked"));

    // Disabled it signs nothing, and tells of revocation all the same; then it is enabled again.
    scene.ctl(&["ca", "disable", "3"]);
    assert!(scene.refused_issue("3", "server").contains("not enabled"));
    assert!(scene.status(&top, &middle, &leaf).contains(": revoked"));
    scene.ctl(&["ca", "enable", "3"]);
    let second = scene.issue("3", "mail.example.test");

    // Everything outlives a restart of everything.
    let before = scene.json(&["ca", "list"]);
    rig::down(&scene.rig.layout).expect("down");
    scene.rig.up(&Options::default());
    scene.rig.wait_until_ready();
    assert_eq!(scene.json(&["ca", "list"]), before);
    wait_until("it answers again", PATIENCE, || scene.status(&top, &middle, &second).contains(": good"))
        .unwrap_or_else(|error| panic!("{error}: {}", scene.status(&top, &middle, &second)));

    // Its own certificate is on the CRL of the one above it.
    let revoked = scene.json(&["ca", "revoke", "3", "--reason", "cessationOfOperation"]);
    assert_eq!((&revoked["standing"], revoked["revoked"].is_u64()), (&"retired".into(), true));
    let own = softhsm_tests::clients::serial(&middle).to_lowercase();
    let listed = scene.crl("2", |text| text.to_lowercase().contains(&own));
    let said = scene.verify(&top, &second, &[listed, scene.crl("3", |_| true)]);
    assert!(said.failure().contains("certificate revoked"));
    assert!(scene.refused_issue("3", "server").contains("not enabled"));
    assert!(scene.refused(&["ca", "enable", "3"]).contains("retired"));
    wait_until("it answers", PATIENCE, || scene.status(&top, &middle, &second).contains(": good")).expect("an answer");

    scene.ctl(&["seal"]);
    wait_until("it is sealed", PATIENCE, || scene.ctl(&["status"]).contains("sealed")).expect("sealed");
    let create = ["ca", "create", "--of-profile", "departments", "--kind", "self-signed", "--common-name", "Late"];
    assert!(scene.refused(&create).contains("strongbox sealed"));
    assert!(scene.refused(&["ca", "retire", "2"]).contains("strongbox sealed"));
    assert_eq!(scene.json(&["ca", "show", "2"])["standing"], "enabled");
    assert!(scene.fetch("/crl/authority-2.crl").is_some(), "a CRL that was signed before is served");
}

#[test]
fn an_intermediate_takes_the_chain_of_a_ca_outside_and_nothing_else() {
    let scene = Scene::new();
    let made = scene.create("intermediate", "Branch", &["--key-kind", "rsa2048"]);
    assert_eq!(made["number"], 2);
    std::fs::write(scene.path("2.csr"), scene.ctl(&["ca", "show", "2", "--csr"])).expect("a file");
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        run(command.args(arguments.split(' ')).current_dir(scene.rig.directory())).success()
    };
    std::fs::write(
        scene.path("outside.cnf"),
        "[ca]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\n[top]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\n",
    )
    .expect("a file");
    openssl("ecparam -name prime256v1 -genkey -noout -out outside.key");
    openssl("req -new -key outside.key -subj /CN=Outside -out outside.csr");
    openssl(
        "x509 -req -in outside.csr -key outside.key -days 900 -extfile outside.cnf -extensions top -out outside.pem",
    );
    let sign = "x509 -req -CA outside.pem -CAkey outside.key -days 800 -extfile outside.cnf -extensions ca";
    openssl(&format!("{sign} -in 2.csr -out 2.pem"));
    openssl(&format!("{sign} -in outside.csr -out stranger.pem"));
    let read = |name: &str| std::fs::read_to_string(scene.path(name)).expect("a file");
    let import = |chain: String| {
        let file = scene.path("chain.pem");
        std::fs::write(&file, chain).expect("a file");
        scene.rig.environment.signetctl(&["ca", "import", "2", "--chain", file.to_str().expect("plain")])
    };
    for (chain, why) in [
        (String::new(), "no CERTIFICATE"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "not usable"),
        (read("outside.pem") + &read("2.pem"), "begin with it"),
        (read("stranger.pem") + &read("outside.pem"), "begin with it"),
        (read("2.pem") + &read("stranger.pem"), "put them in order"),
    ] {
        let refused = import(chain).expect_err("it is refused");
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(scene.json(&["ca", "show", "2"])["standing"], "pending");
    import(read("2.pem") + &read("outside.pem")).expect("the chain is taken");
    let shown = scene.json(&["ca", "show", "2"]);
    assert_eq!((&shown["standing"], shown["chain"].as_array().map(Vec::len)), (&"enabled".into(), Some(2)));
    // Done once more it changes nothing.
    import(read("2.pem") + &read("outside.pem")).expect("the chain is taken");
    assert_eq!(scene.json(&["ca", "show", "2"]), shown);

    let leaf = scene.issue("2", "branch.example.test");
    let mut verify = Command::new("openssl");
    verify.args(["verify", "-x509_strict", "-CAfile"]).arg(scene.path("outside.pem")).arg("-untrusted").arg(&leaf);
    run(verify.arg(&leaf)).success();
    // Who signed its certificate is outside, and alone can revoke it.
    assert!(scene.refused(&["ca", "revoke", "2"]).contains("outside"));
    assert_eq!(scene.json(&["ca", "retire", "2"])["standing"], "retired");
}
