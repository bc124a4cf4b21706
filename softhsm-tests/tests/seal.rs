//! The seal, from outside: what a sealed CA answers, what a PIN may do, and where it never is.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use softhsm_tests::acme::{self, Answer, Https};
use softhsm_tests::admin::Admin;
use softhsm_tests::clients::Certbot;
use softhsm_tests::memory;
use softhsm_tests::rig::{self, Module, Options, Rig, Start};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);
const SERVICES: [&str; 3] = ["signer-ca", "signer-tls", "signetd"];

#[test]
fn a_sealed_ca_says_so_everywhere_and_only_the_right_pin_opens_it() {
    let rig = Rig::start(&Options { start: Start::Sealed, ca_module: Module::Counting, ..Options::default() });
    let mut admin = Admin::new(&rig.environment);
    let mut public = public(&rig);

    // As it boots.
    assert_sealed(&public.request("GET", "/directory", None, &[]).expect("an answer"), "/directory");
    assert_eq!(rig::health(&rig.layout).expect("health")["seal"], "sealed");
    let health = public.request("GET", "/health", None, &[]).expect("an answer").json();
    assert_eq!(
        (&health["live"], &health["ready"], &health["seal"]),
        (&Value::Bool(true), &Value::Bool(false), &"sealed".into())
    );

    // A wrong PIN: one sentence, one attempt.
    let before = logins(&rig);
    let wrong = rig.directory().join("wrong-pin");
    std::fs::write(&wrong, "000000").expect("a PIN file");
    std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let said = rig.environment.signetctl(&["unseal", "--pin-file", &wrong.to_string_lossy()]).expect_err("a refusal");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("PIN"), "{said}");
    assert_eq!(logins(&rig), before + 1, "one wrong PIN is one attempt on the token");
    wait_until("the wrong PIN is counted", PATIENCE, || wrong_pins(&mut admin) == 1).expect("the count");

    // The right one, in a box that somebody keeps a copy of.
    let pin = pin(&rig);
    let captured = admin.unseal_box(&pin);
    let answer = admin.post("unseal", &captured);
    assert_eq!(answer.status, 204, "{}", answer.text());
    rig.activate();
    wait_until("the right PIN ends the count", PATIENCE, || wrong_pins(&mut admin) == 0).expect("the count");
    let certbot = Certbot::new(&rig, "certbot");
    certbot.obtain("first.example.test").success();

    // Sealed again: every endpoint that a client could know.
    let directory = public.request("GET", "/directory", None, &[]).expect("an answer").json();
    let plan = rig.plan(1);
    let mut client = acme::Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
    client.register().expect("an account");
    let issued = client.obtain("second.example.test").expect("a certificate");
    // certbot needs its port.
    drop(client);
    rig.environment.signetctl(&["seal"]).expect("seal");
    wait_until("it is sealed", PATIENCE, || seal(&rig) == "sealed").expect("sealed");
    let base = rig.environment.get("SIGNET_PUBLIC_URL");
    let urls = directory.as_object().expect("an object").values().filter_map(Value::as_str);
    let urls = urls.chain([issued.order.as_str()]).filter_map(|url| url.strip_prefix(base));
    let paths: Vec<&str> = urls.chain(["/acme/directory", "/acme/no-such-path"]).collect();
    assert!(paths.len() >= 7, "{paths:?}");
    for path in paths {
        for method in ["GET", "POST"] {
            let kind = (method == "POST").then_some("application/jose+json");
            assert_sealed(&public.request(method, path, kind, b"").expect("an answer"), path);
        }
        let head = public.request("HEAD", path, None, b"").expect("an answer");
        assert_eq!((head.status, head.header("retry-after").is_some()), (503, true), "HEAD {path}");
    }

    // The captured box is of no use to the process that comes after.
    wait_until("another signer is there", PATIENCE, || {
        let signer = rig.service("signer-ca");
        signer.restarts == 1 && signer.ready && seal(&rig) == "sealed"
    })
    .expect("a signer");
    let before = logins(&rig);
    let replayed = admin.post("unseal", &captured);
    assert!((400..500).contains(&replayed.status), "{} {}", replayed.status, replayed.text());
    assert_eq!(logins(&rig), before, "a replayed box does not reach the token");
    assert_eq!(seal(&rig), "sealed");

    // And nothing needed a restart, but for the signer, for which sealing is exit.
    rig.environment.signetctl(&["unseal", "--pin-file", rig.environment.get("SIGNET_PIN_FILE")]).expect("unseal");
    rig.wait_until_ready();
    certbot.obtain("third.example.test").success();
    assert_eq!((rig.service("signetd").restarts, rig.service("signer-ca").restarts), (0, 1));
    rig.verify(&[issued]);
}

#[test]
fn the_pin_is_in_no_process_that_may_not_have_it() {
    let rig = Rig::start(&Options { start: Start::Sealed, ..Options::default() });
    let pin = pin(&rig);
    let holders = || -> Vec<&str> {
        let holds = |service: &&&str| memory::count(rig.pid(service), &pin).expect("its memory") > 0;
        SERVICES.iter().filter(holds).copied().collect()
    };
    assert_eq!(holders(), Vec::<&str>::new(), "sealed at boot");

    let certbot = Certbot::new(&rig, "certbot");
    for round in ["first", "second"] {
        rig.environment.signetctl(&["unseal", "--pin-file", rig.environment.get("SIGNET_PIN_FILE")]).expect("unseal");
        rig.activate();
        certbot.obtain(&format!("{round}.example.test")).success();
        assert!(holders().iter().all(|service| *service == "signer-ca"), "unsealed: {:?}", holders());

        // After a crash the PIN comes from the descriptor store.
        rig.signal("signer-ca", rustix::process::Signal::KILL);
        wait_until("it was started again", PATIENCE, || {
            rig.service("signer-ca").last_end.as_deref() == Some("signal 9")
        })
        .expect("restart");
        rig.wait_until_ready();
        assert!(holders().iter().all(|service| *service == "signer-ca"), "after a crash: {:?}", holders());

        let before = rig.pid("signer-ca");
        rig.environment.signetctl(&["seal"]).expect("seal");
        wait_until("sealing is exit", PATIENCE, || rig.pid("signer-ca") != before).expect("another process");
        wait_until("it is sealed", PATIENCE, || seal(&rig) == "sealed" && rig.service("signer-ca").ready)
            .expect("sealed");
        assert_eq!(holders(), Vec::<&str>::new(), "sealed");
        assert_eq!(rig.service("signer-ca").kept, Vec::<String>::new(), "nothing is kept for the next start");
    }
}

fn assert_sealed(answer: &Answer, path: &str) {
    assert_eq!(answer.status, 503, "{path}: {}", answer.text());
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{path}: no Retry-After");
    assert!(answer.text().contains("strongbox sealed"), "{path}: {}", answer.text());
}

fn public(rig: &Rig) -> Https {
    let tls = acme::tls_config(Path::new(rig.environment.get("SIGNET_CA_FILE"))).expect("the root certificate");
    let authority = rig.environment.get("SIGNET_PUBLIC_URL").strip_prefix("https://").expect("an https URL");
    Https::new(tls, authority).expect("an address")
}

fn seal(rig: &Rig) -> String {
    rig::health(&rig.layout).map(|health| health["seal"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

fn pin(rig: &Rig) -> Vec<u8> {
    std::fs::read(rig.environment.get("SIGNET_PIN_FILE")).expect("the PIN file")
}

/// What the status says of the CA's signer; the daemon asks it every now and then.
fn wrong_pins(admin: &mut Admin) -> u64 {
    let status = admin.get("status").json();
    let signers = status["signers"].as_array().cloned().unwrap_or_default();
    let ca = signers.iter().find(|signer| signer["name"] == "ca").expect("status names the CA signer");
    ca["detail"]["wrong_pins"].as_u64().expect("status counts wrong PINs")
}

/// How many times C_Login was called in the CA's token.
fn logins(rig: &Rig) -> usize {
    let log = std::fs::read_to_string(rig.layout.calls()).unwrap_or_default();
    log.lines().filter(|line| line.trim() == "C_Login").count()
}
