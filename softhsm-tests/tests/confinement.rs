//! Three processes at work under their own filters: what the kernel holds them to, and which rules of the
//! lists were needed.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use softhsm_tests::acme;
use softhsm_tests::rig::{Options, Rig, Start};
use softhsm_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
const SERVICES: [(&str, &str); 3] = [("signetd", "signetd"), ("signer-ca", "signer"), ("signer-tls", "signer")];

#[test]
fn status_says_what_the_kernel_holds_each_process_to() {
    let rig = Rig::start(&Options::default());
    for (service, _) in SERVICES {
        let status = std::fs::read_to_string(format!("/proc/{}/status", rig.pid(service))).expect("its status");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.split(':').next() == Some(name)).expect(name);
            line.split_whitespace().nth(1).expect("a value").to_owned()
        };
        assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"), "{service}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{service} {set}");
        }
    }
    let said = rig.environment.signetctl(&["status", "--hardening", "--json"]).expect("the status");
    let status: Value = serde_json::from_str(&said).expect("JSON");
    let signers = status["signers"].as_array().expect("the signers");
    let processes = [&status].into_iter().chain(signers.iter().map(|signer| &signer["detail"]));
    for process in processes {
        let measures = process["hardening"].as_array().expect("measures");
        let in_force = |name: &str| {
            measures.iter().find(|measure| measure["name"] == name).map(|measure| &measure["in_force"])
                == Some(&true.into())
        };
        for name in ["capabilities", "no_new_privs", "dumpable", "core", "seccomp"] {
            assert!(in_force(name), "{name}: {measures:?}");
        }
    }
    let table = rig.environment.signetctl(&["status", "--hardening"]).expect("the table");
    for word in
        ["signet-signer@ca", "signet-signer@tls", "signetd", "landlock", "any other system call ends the process"]
    {
        assert!(table.contains(word), "{word}: {table}");
    }
}

/// The rules of a list: call, and why it is there if that is not seen.
fn list(name: &str) -> Vec<(String, Option<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hsm/src/confine").join(format!("{name}.json"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a list")).expect("JSON");
    let rules = file["allow"]["filter"].as_array().expect("rules");
    let here = |rule: &&Value| rule["arch"].as_str().is_none_or(|arch| arch == std::env::consts::ARCH);
    let read = |rule: &Value| {
        let comment = rule["comment"].as_str().map(str::to_owned);
        (rule["syscall"].as_str().expect("a call").to_owned(), comment)
    };
    rules.iter().filter(here).map(read).collect()
}

#[test]
fn a_rule_that_is_not_needed_says_why_it_is_there() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        // Past the capture of output: `make test` counts these lines.
        let _ = writeln!(std::io::stderr(), "skipped: strace is not installed");
        return;
    }
    let rig = Rig::start(&Options { start: Start::Sealed, ..Options::default() });
    let trace = |service: &str| rig.directory().join(format!("{service}.trace"));
    let mut tracers: Vec<_> = SERVICES
        .iter()
        .map(|(service, _)| {
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(trace(service));
            strace.arg("-p").arg(rig.pid(service).to_string()).stderr(Stdio::null());
            strace.spawn().expect("strace")
        })
        .collect();
    let attached = |service: &str| std::fs::metadata(trace(service)).is_ok_and(|meta| meta.len() > 0);
    wait_until("strace is attached", PATIENCE, || SERVICES.iter().all(|(service, _)| attached(service)))
        .expect("strace");

    // A life in short.
    rig.environment.signetctl(&["unseal", "--pin-file", rig.environment.get("SIGNET_PIN_FILE")]).expect("unseal");
    rig.activate();
    let plan = rig.plan(1);
    let mut client = acme::Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
    client.register().expect("an account");
    client.obtain("www.example.test").expect("a certificate");
    for service in ["signetd", "signer-ca", "signer-tls"] {
        rig.signal(service, Signal::HUP);
    }
    rig.environment.signetctl(&["crl", "publish"]).expect("a CRL");
    rig.environment.signetctl(&["cert", "list"]).expect("a list");
    rig.environment.signetctl(&["seal"]).expect("seal");
    wait_until("the signer was replaced", PATIENCE, || rig.service("signer-ca").restarts == 1).expect("a seal");
    for service in ["signetd", "signer-tls"] {
        rig.signal(service, Signal::TERM);
    }
    for tracer in &mut tracers {
        tracer.wait().expect("strace ends with its process");
    }

    for list_name in ["signetd", "signer"] {
        let mut used = BTreeSet::new();
        for (service, _) in SERVICES.iter().filter(|(_, list)| *list == list_name) {
            let text = std::fs::read(trace(service)).expect("a trace");
            for line in String::from_utf8_lossy(&text).lines() {
                // `123  call(…`, or `123  <... call resumed>…`
                let Some((_, rest)) = line.split_once(' ') else { continue };
                let call = rest.trim_start().trim_start_matches("<... ");
                let call: String = call.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(!line.contains("SIGSYS"), "{service}: {line}");
                used.insert(call);
            }
        }
        let rules = list(list_name);
        let idle: Vec<_> = rules.iter().filter(|(call, _)| !used.contains(call)).collect();
        let unexplained: Vec<_> = idle.iter().filter(|(_, why)| why.is_none()).map(|(call, _)| call).collect();
        let _ = writeln!(
            std::io::stderr(),
            "seccomp: {list_name}: {} rules, {} of them for what did not happen here:",
            rules.len(),
            idle.len()
        );
        for (call, why) in &idle {
            let _ = writeln!(std::io::stderr(), "  {call}: {}", why.as_deref().unwrap_or("no reason is given"));
        }
        assert!(unexplained.is_empty(), "{list_name}: give a reason or remove: {unexplained:?}");
    }
}
