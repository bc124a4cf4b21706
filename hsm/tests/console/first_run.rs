//! `setup` and `doctor`: the guided first run, and why a token does not work.

use crate::rig::{Appliance, Said, openssl, signer};
use crate::terminal::Terminal;

/// `signet-signer setup`, with every answer on the command line but what `more` says.
fn setup(appliance: &Appliance, more: &[&str]) -> Said {
    let at = |name: &str| appliance.path(name).display().to_string();
    let mut arguments: Vec<String> = ["setup", "--host", "ca.example.test"].map(str::to_owned).to_vec();
    let places = [("--config-dir", "etc"), ("--state-dir", "var"), ("--run-dir", "run"), ("--bundle", "bundle")];
    let pins = [("--root-pin-file", "root.pin"), ("--ca-pin-file", "ca.pin"), ("--so-pin-file", "so.pin")];
    for (flag, name) in places.into_iter().chain(pins) {
        arguments.extend([flag.to_owned(), at(name)]);
    }
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    signer(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_first_run_takes_what_is_usual_and_leaves_what_is_there() {
    let appliance = Appliance::empty();
    let said = setup(&appliance, &["--yes", "--validation-network", "10.0.0.0/8"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("systemctl enable --now signet-signer@tls signet-signer@ca signetd"), "{said:?}");
    let settings = appliance.text("etc/signetd.toml");
    assert!(settings.contains("public_url = \"https://ca.example.test\""), "{settings}");
    assert!(settings.contains("\nallowed_networks = [\"10.0.0.0/8\"]"), "{settings}");
    let profile = appliance.text("etc/profiles/server.toml");
    assert!(profile.contains("crl = \"http://ca.example.test/crl/{issuer}.crl\""), "{profile}");
    let before = appliance.tree("");
    let again = setup(&appliance, &["--yes"]);
    assert!(again.code == 0 && again.out.starts_with("already initialised"), "{again:?}");
    assert_eq!(appliance.tree(""), before);
}

#[test]
fn the_first_run_asks_on_the_terminal_for_what_it_is_not_told() {
    let setup = |appliance: &Appliance, more: &[&str]| {
        let mut arguments = vec!["setup".to_owned()];
        for (flag, name) in
            [("--config-dir", "etc"), ("--state-dir", "var"), ("--run-dir", "run"), ("--bundle", "bundle")]
        {
            arguments.extend([flag.to_owned(), appliance.path(name).display().to_string()]);
        }
        arguments.extend(more.iter().map(|&one| one.to_owned()));
        Terminal::run(&arguments)
    };
    let appliance = Appliance::empty();
    let mut terminal = setup(&appliance, &[]);
    terminal.answer("PKCS#11 module [/", "");
    terminal.answer("Names or addresses of this appliance, with commas", "ca.example.test, 192.0.2.1");
    terminal.answer("Organization, in the CA's certificates [Signet]: ", "Example Works");
    terminal.answer("Name of the first administrator [", "alice");
    terminal.answer("File with his CSR; without one his key is made here [none]: ", "");
    terminal.answer("[http://ca.example.test]: ", "");
    terminal.answer("Networks that validation may reach, with commas [none]: ", "10.0.0.0/8");
    for (what, pin) in [("root token", "root-pin-1"), ("CA token", "ca-pin-22"), ("security officer", "so-pin-333")] {
        terminal.answer(&format!("PIN of the {what}: "), pin);
        terminal.answer(&format!("PIN of the {what}, again: "), pin);
    }
    let (code, text) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("signetctl ca activate"), "{text}");
    assert!(!["root-pin-1", "ca-pin-22", "so-pin-333"].iter().any(|pin| text.contains(pin)), "a PIN is shown: {text}");
    let settings = appliance.text("etc/signetd.toml");
    assert!(settings.contains("\nallowed_networks = [\"10.0.0.0/8\"]"), "{settings}");
    let subject = |file: &str| openssl(&["x509", "-noout", "-text", "-in", appliance.path(file).to_str().unwrap()]).out;
    assert!(subject("etc/ca/root.pem").contains("Example Works"));
    assert!(subject("etc/ca/tls-1.pem").contains("IP Address:192.0.2.1"));

    // Two PINs that do not agree change nothing.
    let appliance = Appliance::empty();
    let mut terminal = setup(&appliance, &["--yes", "--host", "ca.example.test"]);
    terminal.answer("PIN of the root token: ", "root-pin-1");
    terminal.answer("PIN of the root token, again: ", "root-pin-2");
    let (code, text) = terminal.end();
    assert!(code == 1 && text.contains("the two do not agree, so nothing was changed"), "{text}");
    assert!(!appliance.path("etc").exists() && !appliance.path("var").exists());
}

#[test]
fn doctor_finds_nothing_wrong_and_tries_no_pin_by_itself() {
    let appliance = Appliance::initialised();
    let said = appliance.console(&["doctor"], &["--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let steps: Vec<serde_json::Value> = serde_json::from_str(&said.out).unwrap();
    let failed = steps.iter().filter(|step| step["outcome"] == "failed").count();
    assert!(failed == 0 && steps.len() > 8, "{said:?}");
    assert_eq!(steps.last().unwrap()["outcome"], "note");
    assert!(!appliance.path("var/ca/wrong-pins").exists());
}

#[test]
fn doctor_names_the_step_that_fails_and_what_to_do() {
    for (shipped, wrong, step, advice) in [
        ("version = 1", "version = 2", "configuration", "version 2 of this file is not known"),
        ("libsofthsm2.so", "libnothing.so", "module file", "install the token's PKCS#11 module"),
        ("token=signet-ca", "token=elsewhere", "token", "the module shows `signet-ca`"),
        ("issuing-1.pem", "ocsp-1.pem", "certificates", "cannot be used"),
    ] {
        let appliance = Appliance::initialised();
        let config = appliance.text("etc/signer-ca.toml");
        std::fs::write(appliance.path("etc/signer-ca.toml"), config.replacen(shipped, wrong, 1)).unwrap();
        let said = appliance.console(&["doctor"], &[]);
        assert_eq!(said.code, 1, "{said:?}");
        let last = said.out.lines().last().unwrap_or_default();
        assert!(last.starts_with(step) && last.contains("failed") && last.contains(advice), "{step}: {said:?}");
    }
}

#[test]
fn doctor_tries_a_pin_once_and_counts_it() {
    let appliance = Appliance::initialised();
    let pin = |name: &str| appliance.path(name).display().to_string();
    let wrong = appliance.console(&["doctor"], &["--pin-file", &pin("wrong.pin")]);
    assert!(wrong.code == 1 && wrong.out.contains("the token refused the PIN"), "{wrong:?}");
    assert_eq!(appliance.text("var/ca/wrong-pins").trim(), "1");
    let right = appliance.console(&["doctor"], &["--pin-file", &pin("ca.pin")]);
    assert!(right.code == 0 && right.out.contains("each key signs: issuing-1"), "{right:?}");
    assert_eq!(appliance.text("var/ca/wrong-pins").trim(), "0");
}
