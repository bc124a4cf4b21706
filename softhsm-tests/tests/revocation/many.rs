//! Many certificates that another system issued.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use softhsm_tests::bench;
use softhsm_tests::clients::run;
use softhsm_tests::programs;
use softhsm_tests::wait::wait_until;

use crate::scene::{PATIENCE, Scene};

/// Certificates that are imported; a million in `make torture`.
const IMPORTED: usize = 50_000;

/// Most memory that publishing a CRL may take beside what the processes have, in octets.
const CRL_MEMORY: u64 = 100 << 20;
/// Most CPU for a million entries, in seconds, of an optimised build.
const CRL_CPU: f64 = 2.0;

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

    if !cfg!(debug_assertions) {
        let begun = Instant::now();
        let signed = bench::settle(&scene.rig).expect("the OCSP answers");
        println!("{signed} OCSP answers signed ahead in {:?}", begun.elapsed());
    }
    // A CRL costs CPU for each entry, and no memory for any: what is said of a million is asked of these.
    let services = ["signetd", "signer-ca"];
    let (rest, before) = (bench::resident(&scene.rig, &services), bench::cpu(&scene.rig, &services));
    let peaks = bench::Peaks::start(&scene.rig, &services);
    scene.ctl(&["crl", "publish"]);
    let (spent, extra) = (bench::cpu(&scene.rig, &services) - before, peaks.highest().saturating_sub(rest));
    let million = spent.as_secs_f64() / (count / 2) as f64 * 1e6;
    println!("CRL of {} entries: {spent:?} of CPU, {million:.1} s a million, {extra} octets more memory", count / 2);
    assert!(extra < CRL_MEMORY, "{extra} octets more memory for a CRL");
    if !cfg!(debug_assertions) {
        assert!(million < CRL_CPU, "{million:.1} s of CPU for a million entries");
    }
    println!(
        "{count} certificates: start to ready in {} µs, {rest} octets at rest",
        scene.rig.service("signetd").ready_after
    );

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
    // Within a second, when nothing else runs.
    wait_until("it is revoked", PATIENCE, revoked).expect("revoked");
    println!("{count} imported in {took:?}; revoked and seen in {:?}", begun.elapsed());
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
