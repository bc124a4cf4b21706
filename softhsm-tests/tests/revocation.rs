//! CRLs and OCSP as strangers see them: OpenSSL, GnuTLS, NSS and pkilint judge what is served, while
//! certificates are revoked, the strongbox is sealed, and `signetd` dies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use softhsm_tests::acme::Client;
use softhsm_tests::clients::{Said, pkilint, pkilint_exceptions, run};
use softhsm_tests::programs;
use softhsm_tests::rig::{self, Options, Rig, Start};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// Certificates that are imported; a million in `make torture`.
const IMPORTED: usize = 50_000;

#[test]
fn strangers_agree_on_what_is_good_and_what_is_revoked() {
    let scene = Scene::new();
    let (good, bad) = (scene.obtain("good.example.test"), scene.obtain("bad.example.test"));
    assert!(scene.openssl_ocsp(&good, &[]).text.contains(": good"));
    scene.ctl(&["cert", "revoke", "--file", &bad.display().to_string(), "--reason", "keyCompromise"]);
    let said = scene.openssl_ocsp(&bad, &["-no_nonce"]);
    assert!(said.text.contains(": revoked") && said.text.contains("keyCompromise"), "{}", said.text);
    scene.ctl(&["crl", "publish"]);
    let (crl, root_crl) = (scene.fetch_crl("issuing-1"), scene.fetch_crl("root"));

    // OpenSSL, over the whole chain.
    let verify = |leaf: &Path| {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-CAfile"]).arg(scene.file("SIGNET_CA_FILE"));
        command.arg("-untrusted").arg(scene.file("SIGNET_ISSUER_FILE"));
        run(command.arg("-CRLfile").arg(&crl).arg("-CRLfile").arg(&root_crl).arg(leaf))
    };
    verify(&good).success();
    assert!(verify(&bad).text.contains("certificate revoked"), "{}", verify(&bad).text);

    // GnuTLS.
    for (leaf, expected) in [(&good, "good"), (&bad, "revoked")] {
        let mut command = Command::new("ocsptool");
        command.args([&format!("--ask={}/ocsp", scene.pki()), "--no-nonce"]);
        command.arg("--load-issuer").arg(scene.file("SIGNET_ISSUER_FILE")).arg("--load-cert").arg(leaf);
        let said = run(command.arg("--load-signer").arg(scene.file("SIGNET_ISSUER_FILE"))).success();
        assert!(said.contains(&format!("Certificate Status: {expected}")), "{said}");
    }

    // NSS, with the status from CRL and from OCSP.
    for (leaf, trusted) in [(&good, true), (&bad, false)] {
        let said = scene.vfychain(leaf);
        assert_eq!(said.succeeded, trusted, "{}", said.text);
    }

    // pkilint, on the bytes that are served.
    let exceptions = pkilint_exceptions();
    for (linter, file, more) in [
        ("lint_crl", crl, &["-t", "CRL", "-p", "PKIX"][..]),
        ("lint_crl", root_crl, &["-t", "ARL", "-p", "PKIX"]),
        ("lint_ocsp_response", scene.ocsp_response(&good), &[]),
        ("lint_ocsp_response", scene.ocsp_response(&bad), &[]),
    ] {
        let findings = lint(linter, more, &file, &exceptions);
        assert_eq!(findings, Vec::<String>::new(), "{linter} on {}", file.display());
    }
}

#[test]
fn a_hold_is_taken_back_and_a_list_is_acted_on_when_it_is_meant() {
    let scene = Scene::new();
    let leaf = scene.obtain("held.example.test");
    let serial = serial(&leaf);
    let refused = scene.rig.environment.signetctl(&["cert", "hold", &serial]).expect_err("the profile refuses it");
    assert!(refused.contains("does not allow it"), "{refused}");
    let list = scene.directory().join("list");
    std::fs::write(&list, format!("# from a report\n{serial}\n")).expect("a list");
    let path = list.display().to_string();
    assert!(scene.ctl(&["cert", "revoke", "--list", &path]).contains("1 certificate(s) would be revoked"));
    assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    assert!(scene.ctl(&["cert", "revoke", "--of-profile", "server", "--dry-run"]).starts_with("1 certificate"));
    assert!(scene.ctl(&["cert", "revoke", "--list", &path, "--yes"]).contains("1 certificate(s) revoked"));
    wait_until("the revocation is answered", PATIENCE, || {
        scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": revoked")
    })
    .expect("revoked");
    assert!(scene.ctl(&["cert", "revoke", "--of-profile", "server", "--yes"]).starts_with("0 certificate"));
}

#[test]
fn while_sealed_what_was_signed_is_served_and_a_nonce_gets_the_answer_without_it() {
    let scene = Scene::new();
    let (leaf, fresh) = (scene.obtain("asked.example.test"), scene.obtain("fresh.example.test"));
    scene.openssl_ocsp(&leaf, &["-no_nonce"]).success();
    let crl = std::fs::read(scene.fetch_crl("issuing-1")).expect("a CRL");
    scene.ctl(&["seal"]);
    wait_until("it is sealed", PATIENCE, || {
        rig::health(&scene.rig.layout).is_ok_and(|health| health["seal"] == "sealed")
    })
    .expect("sealed");
    assert_eq!(std::fs::read(scene.fetch_crl("issuing-1")).expect("a CRL"), crl);
    assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    let said = scene.openssl_ocsp(&leaf, &[]);
    assert!(said.text.contains("no nonce in response") && said.text.contains(": good"), "{}", said.text);
    let said = scene.openssl_ocsp(&fresh, &["-no_nonce"]);
    assert!(said.text.to_lowercase().contains("trylater"), "{}", said.text);
    // Revoking works; the answer that was signed before must not be given any more.
    scene.ctl(&["cert", "revoke", &serial(&leaf)]);
    wait_until("nobody is told any more that it is good", PATIENCE, || {
        !scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good")
    })
    .expect("no answer that is known to be wrong");
    scene.ctl(&["unseal", "--pin-file", scene.rig.environment.get("SIGNET_PIN_FILE")]);
    wait_until("it is answered again", PATIENCE, || {
        scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": revoked")
    })
    .expect("revoked");
}

#[test]
fn signetd_that_dies_while_it_publishes_never_goes_back() {
    let scene = Scene::new();
    let leaf = scene.obtain("before.example.test");
    let mut last = 0;
    for round in 0..6u64 {
        let publishing = {
            let environment = scene.rig.environment.clone();
            std::thread::spawn(move || environment.signetctl(&["crl", "publish"]))
        };
        std::thread::sleep(Duration::from_millis(5 + 12 * round));
        let before = scene.rig.service("signetd").restarts;
        scene.rig.signal("signetd", Signal::KILL);
        // Whether it was published before the end nobody can say.
        let _ = publishing.join();
        wait_until("it is started again", PATIENCE, || {
            let health = scene.rig.service("signetd");
            health.restarts > before && health.ready
        })
        .expect("restart");
        scene.rig.wait_until_ready();
        let number = crl_number(&scene.fetch_crl("issuing-1"));
        assert!(number >= last, "CRL {number} after {last}");
        last = number;
        assert!(scene.openssl_ocsp(&leaf, &["-no_nonce"]).text.contains(": good"));
    }
    scene.ctl(&["crl", "publish"]);
    assert!(crl_number(&scene.fetch_crl("issuing-1")) > last);
    wait_until("the watchdog finds nothing wrong", PATIENCE, || {
        let status = scene.rig.environment.signetctl(&["--json", "crl", "status"]);
        status.is_ok_and(|text| {
            let status: Value = serde_json::from_str(&text).expect("JSON");
            status["crls"].as_array().expect("a list").iter().any(|crl| crl["seen"]["fault"].is_null())
        })
    })
    .expect("a watchdog that is content");
}

#[test]
fn many_imported_certificates_cost_what_is_asked_for_and_no_more() {
    let count = match std::env::var("SIGNET_IMPORTED") {
        Ok(text) => text.parse().expect("SIGNET_IMPORTED is a number"),
        Err(_) => IMPORTED,
    };
    let scene = Scene::new();
    let index = scene.directory().join("index.txt");
    write_index(&index, count);
    let (said, took) = scene.rig.without("signetd", || {
        let begun = Instant::now();
        let mut command = Command::new(programs::directory().join("signetd"));
        let said = run(command.arg("import").arg("--config").arg(scene.rig.layout.signetd()).arg(&index)).success();
        (said, begun.elapsed())
    });
    assert!(said.contains(&format!("{count} certificates")), "{said}");
    assert!(journal(&scene).contains(&format!("\"certificates\":{count}}}")), "the import is journalled");
    scene.rig.wait_until_ready();
    wait_until("the CRL lists them", PATIENCE * 5, || entries(&scene) == (count / 2) as u64).expect("a CRL");
    let crl = scene.fetch_crl("issuing-1");
    let text = run(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-crlnumber", "-in"]).arg(&crl));
    text.success();

    // One of each kind, and one that nobody knows.
    for (number, expected) in [(2, ": good"), (3, ": revoked"), (count + 7, ": unknown")] {
        let begun = Instant::now();
        let said = scene.ask_serial(&format!("0x{}", imported(number)));
        assert!(said.text.contains(expected), "{number}: {}", said.text);
        println!("{expected} after {:?}", begun.elapsed());
    }
    // A revocation among so many is seen at once.
    scene.ctl(&["cert", "revoke", &imported(2)]);
    let begun = Instant::now();
    let revoked = || scene.ask_serial(&format!("0x{}", imported(2))).text.contains(": revoked");
    wait_until("it is revoked within a second", Duration::from_secs(1), revoked).expect("revoked");
    println!("{count} imported in {took:?}; revoked and seen in {:?}", begun.elapsed());
}

/// A rig with an ACME client.
struct Scene {
    rig: Rig,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { rig: Rig::start(&Options::default()) };
        wait_until("a CRL is served", PATIENCE, || scene.try_fetch("/crl/issuing-1.crl").is_some()).expect("a CRL");
        scene
    }

    fn directory(&self) -> &Path {
        self.rig.directory()
    }

    fn pki(&self) -> &str {
        self.rig.environment.get("SIGNET_PKI_URL")
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.rig.environment.get(name))
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        self.rig.environment.signetctl(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// A certificate for `name`, in a PEM file.
    fn obtain(&self, name: &str) -> PathBuf {
        let plan = self.rig.plan(1);
        let mut client = Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
        client.register().expect("an account");
        let issued = client.obtain(name).expect("a certificate");
        let der = self.directory().join(format!("{name}.der"));
        let pem = der.with_extension("pem");
        std::fs::write(&der, &issued.chain[0]).expect("a file");
        run(Command::new("openssl").args(["x509", "-inform", "DER", "-in"]).arg(&der).arg("-out").arg(&pem)).success();
        pem
    }

    fn openssl_ocsp(&self, leaf: &Path, more: &[&str]) -> Said {
        let mut command = self.openssl();
        run(command.args(more).arg("-cert").arg(leaf))
    }

    fn ask_serial(&self, serial: &str) -> Said {
        let mut command = self.openssl();
        run(command.args(["-no_nonce", "-serial", serial]))
    }

    fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-url", &format!("{}/ocsp", self.pki()), "-issuer"]).arg(self.file("SIGNET_ISSUER_FILE"));
        command.arg("-CAfile").arg(self.file("SIGNET_CA_FILE"));
        command
    }

    fn vfychain(&self, leaf: &Path) -> Said {
        let database = self.directory().join("nss");
        if !database.exists() {
            std::fs::create_dir(&database).expect("a directory");
            let certutil = |arguments: &[&str]| {
                run(Command::new("certutil").args(["-d", &format!("sql:{}", database.display())]).args(arguments))
            };
            certutil(&["-N", "--empty-password"]).success();
            let root = self.file("SIGNET_CA_FILE");
            certutil(&["-A", "-n", "root", "-t", "C,,", "-i", &root.display().to_string()]).success();
        }
        let mut command = Command::new("vfychain");
        command.args(["-d", &format!("sql:{}", database.display()), "-pp", "-u", "1"]);
        // The leaf's status over OCSP, and no answer is no good.
        command.args(["-g", "leaf", "-m", "ocsp", "-s", "failIfNoInfo", "-a"]);
        run(command.arg(leaf).arg("-a").arg(self.file("SIGNET_ISSUER_FILE")))
    }

    fn try_fetch(&self, path: &str) -> Option<Vec<u8>> {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--noproxy", "*", &format!("{}{path}", self.pki())])
            .output()
            .expect("curl");
        output.status.success().then_some(output.stdout)
    }

    /// The CRL as a DER file.
    fn fetch_crl(&self, issuer: &str) -> PathBuf {
        let bytes = self.try_fetch(&format!("/crl/{issuer}.crl")).expect("a CRL");
        let file = self.directory().join(format!("{issuer}.crl"));
        std::fs::write(&file, bytes).expect("a file");
        file
    }

    /// The answer for a certificate, as a DER file.
    fn ocsp_response(&self, leaf: &Path) -> PathBuf {
        let file = leaf.with_extension("ocsp");
        let mut command = self.openssl();
        run(command.args(["-no_nonce", "-respout"]).arg(&file).arg("-cert").arg(leaf)).success();
        file
    }
}

/// One of pkilint's linters over a DER file.
fn lint(linter: &str, more: &[&str], file: &Path, exceptions: &[String]) -> Vec<String> {
    // Its option parser takes the verb first.
    let mut arguments: Vec<&Path> = more.iter().map(Path::new).collect();
    arguments.push(file);
    pkilint(linter, &arguments, exceptions)
}

/// The CA signer's journal, as it stands on the disk.
fn journal(scene: &Scene) -> String {
    let directory = scene.rig.record().ca_state(&scene.rig.layout).join("journal");
    let mut segments: Vec<_> =
        std::fs::read_dir(directory).expect("a journal").flatten().map(|one| one.path()).collect();
    segments.sort();
    let logs = segments.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.map(|path| std::fs::read_to_string(path).expect("a segment")).collect()
}

#[test]
fn a_ca_goes_active_when_relying_parties_find_what_it_will_name_and_by_force_otherwise() {
    let rig = Rig::start(&Options { start: Start::Sealed, ..Options::default() });
    let ctl = |arguments: &[&str]| rig.environment.signetctl(arguments);
    ctl(&["unseal", "--pin-file", rig.environment.get("SIGNET_PIN_FILE")]).expect("unseal");
    wait_until("a CRL is served and all is right", PATIENCE, || ctl(&["ca", "check"]).is_ok()).expect("a check");
    let said = ctl(&["ca", "check"]).expect("a check");
    for what in ["CRL all", "OCSP", "CA certificate", "CRL of the root", "root certificate"] {
        assert!(said.lines().any(|line| line.starts_with(what) && line.contains("right")), "{what}: {said}");
    }
    assert!(said.contains("not active"), "{said}");

    // Nobody gets a certificate yet, and the sentence says what to do.
    let health = rig::health(&rig.layout).expect("health");
    assert_eq!((&health["ready"], &health["seal"]), (&Value::Bool(false), &"unsealed".into()));
    let plan = rig.plan(1);
    let authority = rig.environment.get("SIGNET_PUBLIC_URL").trim_start_matches("https://");
    let mut https = softhsm_tests::acme::Https::new(plan.tls, authority).expect("a server");
    let answer = https.request("GET", "/directory", None, &[]).expect("an answer");
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert!(answer.text().contains("signetctl ca activate"), "{}", answer.text());

    // A URL that does not answer: another profile, as somebody may add it later.
    let profiles = rig.layout.config().join("profiles");
    let text = std::fs::read_to_string(profiles.join("server.toml")).expect("a profile");
    let wrong = text.replace("/ocsp\"", "/nowhere\"");
    assert_ne!(wrong, text);
    std::fs::write(profiles.join("elsewhere.toml"), wrong).expect("a profile");
    rig.without("signetd", || ());
    wait_until("it is unsealed again", PATIENCE, || {
        rig::health(&rig.layout).is_ok_and(|health| health["seal"] == "unsealed")
    })
    .expect("unsealed");
    let refused = ctl(&["ca", "activate"]).expect_err("a refusal");
    assert!(refused.contains("OCSP at") && refused.contains("/nowhere") && refused.contains("404"), "{refused}");
    assert!(ctl(&["ca", "check"]).expect_err("exit code 1").contains("/nowhere"));
    let said = ctl(&["ca", "activate", "--force"]).expect("by force");
    assert!(said.contains("although") && said.contains("/nowhere"), "{said}");
    rig.wait_until_ready();

    // The watchdog says so, and nobody forgets it.
    wait_until("the watchdog says so", PATIENCE * 2, || {
        let health = rig::health(&rig.layout).unwrap_or_default();
        health["revocation"].to_string().contains("/nowhere")
    })
    .expect("an alarm");
    let directory = rig.record().ca_state(&rig.layout).join("journal");
    let lines: String = std::fs::read_dir(directory)
        .expect("a journal")
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let activated = lines.lines().find(|line| line.contains("\"ca_activated\"")).expect("an entry");
    assert!(activated.contains("\"forced\":true") && activated.contains("/nowhere"), "{activated}");
}

fn crl_number(crl: &Path) -> u128 {
    let said = run(Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-crlnumber", "-in"]).arg(crl));
    let text = said.success();
    let number = text.trim().rsplit('=').next().expect("a number").trim_start_matches("0x").to_owned();
    u128::from_str_radix(&number, 16).expect("a hexadecimal number")
}

fn entries(scene: &Scene) -> u64 {
    let Ok(text) = scene.rig.environment.signetctl(&["--json", "crl", "status"]) else { return 0 };
    let status: Value = serde_json::from_str(&text).expect("JSON");
    let crls = status["crls"].as_array().expect("a list").clone();
    crls.iter().find(|crl| crl["issuer"] == "issuing-1").and_then(|crl| crl["entries"].as_u64()).unwrap_or(0)
}

/// A database of `openssl ca` in which every other certificate is revoked.
fn write_index(file: &Path, count: usize) {
    let mut text = String::with_capacity(count * 90);
    for number in 0..count {
        let serial = imported(number);
        match number % 2 {
            0 => writeln!(text, "V\t360101000000Z\t\t{serial}\tunknown\t/CN=host-{number}.example.test"),
            _ => writeln!(text, "R\t360101000000Z\t260101000000Z,superseded\t{serial}\tunknown\t/CN=host-{number}"),
        }
        .expect("a String takes everything");
    }
    std::fs::write(file, text).expect("a file");
}

/// A serial number of 20 octets, the same for the same number.
fn imported(number: usize) -> String {
    format!(
        "{:08X}{:032X}",
        0x1000_0000 + number,
        (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    )
}

fn serial(certificate: &Path) -> String {
    softhsm_tests::clients::serial(certificate).to_lowercase()
}
