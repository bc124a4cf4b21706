//! The API's description, judged by strangers: a validator of OpenAPI, and schemathesis, which makes requests
//! of it, good and bad, and holds the answers against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use softhsm_tests::clients::run;
use softhsm_tests::rig::{Options, Rig};

/// The program that `tools/setup test` installed, if PyPI could be reached.
fn installed(name: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemathesis/bin").join(name);
    program.is_file().then_some(program)
}

fn settings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/schemathesis.toml")
}

#[test]
fn the_description_is_openapi_and_every_answer_is_what_it_says() {
    let (Some(validator), Some(schemathesis)) = (installed("openapi-spec-validator"), installed("schemathesis")) else {
        return softhsm_tests::skipped("schemathesis of PyPI is not installed");
    };
    let rig = Rig::start(&Options::default());
    let environment = |name| rig.environment.get(name);
    let document = rig.directory().join("openapi.json");
    std::fs::write(&document, rig.environment.signetctl(&["api"]).expect("the description")).expect("a file");
    run(Command::new(validator).arg(&document)).success();

    // `make interop` has more time.
    let long = std::env::var_os("SIGNET_INTEROP").is_some();
    let (examples, phases) = if long { ("50", "coverage,fuzzing,stateful") } else { ("3", "coverage,fuzzing") };
    let mut command = Command::new("timeout");
    command.arg(if long { "3600" } else { "600" }).arg(schemathesis);
    command.arg("--config-file").arg(settings()).arg("run").arg(&document).current_dir(rig.directory());
    command.args(["--url", environment("SIGNET_ADMIN_URL"), "--tls-verify", environment("SIGNET_CA_FILE")]);
    command.args(["--request-cert", environment("SIGNET_ADMIN_CERT")]);
    command.args(["--request-cert-key", environment("SIGNET_ADMIN_KEY"), "--request-timeout", "60"]);
    // Every connection here has a certificate: that it is needed is judged where every door is tried.
    command.args(["--checks", "all", "--exclude-checks", "ignored_auth"]);
    command.args(["--phases", phases, "--max-examples", examples, "--continue-on-failure"]);
    if !long {
        // The same requests every time: what one run finds the next one finds, too.
        command.arg("--generation-deterministic");
    }
    let output = command.arg("--no-shrink").output().expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // It was not sealed, and nobody was locked out, by what was thrown at it.
    assert!(rig.environment.signetctl(&["status"]).expect("the status").contains("unsealed"));
}
