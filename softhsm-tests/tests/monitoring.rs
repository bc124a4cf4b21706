//! What is shipped for Prometheus and Grafana, against a scrape of a CA that has worked.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use softhsm_tests::acme;
use softhsm_tests::admin::Admin;
use softhsm_tests::rig::{Options, Rig};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring").join(file)
}

/// Every word of a text that is the name of a metric of ours.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("signet_"))
        .collect()
}

#[test]
fn every_metric_that_is_drawn_or_alerted_on_is_there() {
    let rig = Rig::start(&Options::default());
    let plan = rig.plan(1);
    let mut client = acme::Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
    client.register().expect("an account");
    client.obtain("www.example.test").expect("a certificate");
    let mut admin = Admin::new(&rig.environment);
    let mut scrape = String::new();
    wait_until("the signers' figures are there", PATIENCE, || {
        scrape = admin.metrics().text();
        scrape.contains("signet_token_operation_duration_seconds_count{signer=\"ca\",key=\"issuing-1\"")
    })
    .unwrap_or_else(|error| panic!("{error}: {scrape}"));

    // A histogram is named by its parts; what has no value yet is announced all the same.
    let known: BTreeSet<String> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .flat_map(|(name, kind)| match kind {
            "histogram" => ["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect();
    for file in ["signet.rules.yml", "signet-dashboard.json"] {
        let text = std::fs::read_to_string(shipped(file)).expect("a shipped file");
        let named = metrics(&text);
        assert!(named.len() > 10, "{file}: {named:?}");
        let unknown: Vec<&&str> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, and there are {known:?}");
    }
    let dashboard = std::fs::read_to_string(shipped("signet-dashboard.json")).expect("the dashboard");
    let _: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");

    for line in [
        "signet_issuances_total{surface=\"acme\",profile=\"server\",outcome=\"issued\"} 1",
        "signet_issuance_duration_seconds_count{profile=\"server\"} 1",
        "signet_store_up 1",
        "signet_journal_up{signer=\"ca\"} 1",
        "signet_certificate_expiry_timestamp_seconds{certificate=\"tls\"}",
        "signet_certificates_expiring{within_days=\"30\"} 0",
        "signet_hardening{process=\"signetd\",measure=\"seccomp\"} 1",
        "signet_hardening{process=\"ca\",measure=\"seccomp\"} 1",
    ] {
        assert!(scrape.contains(line), "{line}: {scrape}");
    }
    promtool(&scrape);
}

/// Prometheus' own judgement, where it is installed.
fn promtool(scrape: &str) {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/promtool/usr/bin/promtool");
    let program = if fetched.exists() { fetched } else { PathBuf::from("promtool") };
    let check = |arguments: &[&str], input: &str| {
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
        child.stdin.take().expect("a pipe").write_all(input.as_bytes())?;
        child.wait_with_output()
    };
    let rules = shipped("signet.rules.yml");
    let judged = match check(&["check", "rules", &rules.to_string_lossy()], "") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Past the capture of output: `make test` counts these lines.
            let _ = writeln!(std::io::stderr(), "skipped: promtool is not installed");
            return;
        }
        judged => judged.expect("promtool"),
    };
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    let judged = check(&["check", "metrics"], scrape).expect("promtool");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}
