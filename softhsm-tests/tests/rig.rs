//! The program `rig` keeps its promises: its flags, the names in `rig.env`, and that nothing is left
//! running.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use softhsm_tests::clients::{Said, run};
use softhsm_tests::ports;
use softhsm_tests::programs;

const PROMISED: [&str; 13] = [
    "SIGNET_DIRECTORY",
    "SIGNET_CA_FILE",
    "SIGNET_ISSUER_FILE",
    "SIGNET_ADMIN_URL",
    "SIGNET_ADMIN_CERT",
    "SIGNET_ADMIN_KEY",
    "SIGNET_PUBLIC_URL",
    "SIGNET_PKI_URL",
    "SIGNET_CTL",
    "SIGNET_PIN_FILE",
    "SIGNETD_PID_FILE",
    "SIGNER_CA_PID_FILE",
    "SIGNER_TLS_PID_FILE",
];

#[test]
fn a_rig_comes_up_as_asked_goes_down_and_comes_up_again_as_it_was() {
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().join("rig");
    let port = ports::free().expect("a port").to_string();
    let listen = format!("127.0.0.1:{port}");
    let asked = ["--engine", "sled", "--listen", &listen, "--profile", "shortlived", "--sealed"];
    let ports = ["--http01-port", "5002", "--tls01-port", "5001", "--dns", "127.0.0.1:8053"];
    rig(&directory, "up", &[&asked[..], &ports[..]].concat()).success();

    for name in PROMISED {
        assert!(!shell(&directory, &format!("printf %s \"${name}\"")).is_empty(), "{name} is in rig.env");
    }
    assert_eq!(shell(&directory, "printf %s \"$SIGNET_DIRECTORY\""), format!("https://{listen}/directory"));
    assert!(shell(&directory, "$SIGNET_CTL status").contains("sealed"));
    let settings = std::fs::read_to_string(directory.join("config/signetd.toml")).expect("signetd.toml");
    for said in ["engine = \"sled\"", "http01_port = 5002", "\"127.0.0.1:8053\"", "default_profile = \"shortlived\""] {
        assert!(settings.contains(said), "{said} is not in {settings}");
    }
    // What a certificate names as its issuer's place is there, sealed or not.
    let place = "openssl x509 -noout -ext authorityInfoAccess -in $SIGNET_ISSUER_FILE | sed -n 's/.*URI://p'";
    let fetched = format!("curl -sf $({place}) | openssl x509 -noout -fingerprint -sha256");
    let root = shell(&directory, "openssl x509 -noout -fingerprint -sha256 -in $SIGNET_CA_FILE");
    assert_eq!(shell(&directory, &fetched), root);
    let before = shell(&directory, "cat $SIGNETD_PID_FILE $SIGNER_CA_PID_FILE $SIGNER_TLS_PID_FILE");
    assert_eq!(before.lines().count(), 3);

    // Again, while it runs: nothing is started twice, and now it is unsealed.
    rig(&directory, "up", &[]).success();
    assert_eq!(shell(&directory, "cat $SIGNETD_PID_FILE $SIGNER_CA_PID_FILE $SIGNER_TLS_PID_FILE"), before);
    assert!(shell(&directory, "$SIGNET_CTL status").contains("unsealed"));
    let certificates = shell(&directory, "$SIGNET_CTL --json cert list");

    rig(&directory, "down", &[]).success();
    for pid in before.lines() {
        assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is gone");
    }
    rig(&directory, "down", &[]).success();

    rig(&directory, "up", &[]).success();
    assert_eq!(shell(&directory, "printf %s \"$SIGNET_DIRECTORY\""), format!("https://{listen}/directory"));
    assert_eq!(shell(&directory, "$SIGNET_CTL --json cert list"), certificates, "it is the same CA");
    let refused = rig(&directory, "up", &["--engine", "sqlite"]);
    assert!(!refused.succeeded && refused.text.contains("sled"), "{}", refused.text);
    let refused = rig(&directory, "up", &["--http01-port", "5003"]);
    assert!(!refused.succeeded && refused.text.contains("rig down"), "{}", refused.text);
    rig(&directory, "down", &[]).success();
}

#[test]
fn a_rig_that_cannot_come_up_says_why_and_leaves_nothing_running() {
    let place = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let said = rig(place.path(), "up", &["--listen", &listen]);
    assert!(!said.succeeded);
    assert!(said.text.contains("rig: signetd did not start"), "{}", said.text);
    assert!(said.text.contains("signetd.log"), "the logs are named: {}", said.text);
    assert_eq!(processes(place.path()), Vec::<String>::new());
}

#[test]
fn down_ends_what_a_killed_supervisor_has_left() {
    let place = tempfile::tempdir().expect("a directory");
    rig(place.path(), "up", &["--sealed"]).success();
    assert_eq!(processes(place.path()).len(), 4);
    run(Command::new("sh").arg("-c").arg(format!("kill -9 $(cat {}/run/supervisor.pid)", place.path().display())))
        .success();
    rig(place.path(), "down", &[]).success();
    assert_eq!(processes(place.path()), Vec::<String>::new());
    rig(place.path(), "up", &[]).success();
    rig(place.path(), "down", &[]).success();
}

fn rig(directory: &Path, verb: &str, flags: &[&str]) -> Said {
    run(Command::new(programs::directory().join("rig")).arg(verb).arg("--dir").arg(directory).args(flags))
}

/// What a shell prints that has sourced `rig.env`.
fn shell(directory: &Path, script: &str) -> String {
    let script = format!(". {}/rig.env; {script}", directory.display());
    let output = Command::new("sh").arg("-c").arg(script).output().expect("sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Command lines of the processes that name this rig.
fn processes(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&directory.display().to_string())).collect()
}
