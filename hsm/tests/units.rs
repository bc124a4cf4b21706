//! The systemd units, judged by systemd itself. Nothing is started.

#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The units and what `systemd-analyze security` may count at most, in tenths.
const EXPOSURE: [(&str, &str); 2] = [("signetd.service", "12"), ("signet-signer@.service", "5")];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

fn analyze(arguments: &[&str], folder: &Path) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Past the capture of output: `make test` counts these lines.
            let _ = writeln!(std::io::stderr(), "skipped: systemd-analyze is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// A copy in which templates have their instances, and programs exist.
fn instances() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let text = text.replace("/usr/bin/signet-signer ", "/bin/true ").replace("/usr/bin/signetd ", "/bin/true ");
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let read = |name: &str| std::fs::read_to_string(units().join(name)).unwrap();
    for name in
        ["signetd.service", "signetd.socket", "signet-signer-identity.socket", "signet-signer@tls.service.d/token.conf"]
    {
        write(name, &read(name));
    }
    for kind in ["service", "socket"] {
        for name in ["signet-signer@.", "signet-signer@ca.", "signet-signer@tls."] {
            write(&format!("{name}{kind}"), &read(&format!("signet-signer@.{kind}")));
        }
    }
    folder
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let folder = instances();
    let names = [
        "signetd.service",
        "signetd.socket",
        "signet-signer@ca.service",
        "signet-signer@tls.service",
        "signet-signer@ca.socket",
        "signet-signer@tls.socket",
        "signet-signer-identity.socket",
    ]
    .map(|name| format!("./{name}"));
    let arguments: Vec<&str> = ["verify", "--man=no"].into_iter().chain(names.iter().map(String::as_str)).collect();
    // It ends well even when it does not know a directive: what counts is that it is silent.
    if let Some(verdict) = analyze(&arguments, folder.path()) {
        assert_eq!(verdict, (true, String::new()));
    }
}

#[test]
fn what_a_signer_remembers_is_not_written_to_a_disk() {
    let unit = std::fs::read_to_string(units().join("signet-signer@.service")).unwrap();
    for line in ["MemorySwapMax=0", "LimitMEMLOCK=infinity", "LimitCORE=0"] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
}

#[test]
fn signetd_holds_no_capability() {
    let unit = std::fs::read_to_string(units().join("signetd.service")).unwrap();
    for line in ["AmbientCapabilities=", "CapabilityBoundingSet=", "Requires=signetd.socket"] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
    // What systemd opens is what the shipped configuration names.
    let socket = std::fs::read_to_string(units().join("signetd.socket")).unwrap();
    let opened: Vec<&str> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    let config = std::fs::read_to_string(units().join("../packaging/signetd.toml")).unwrap();
    let named: Vec<&str> =
        config.lines().filter_map(|line| line.strip_prefix("address = \"")?.split('"').next()).collect();
    assert_eq!(opened, named);
}

#[test]
fn the_units_stay_as_hard_as_they_are() {
    for (unit, threshold) in EXPOSURE {
        let threshold = format!("--threshold={threshold}");
        let path = units().join(unit);
        let arguments = ["security", "--offline=true", "--no-pager", &threshold, path.to_str().unwrap()];
        let Some((good, text)) = analyze(&arguments, &units()) else { return };
        assert!(good, "{unit}: {text}");
    }
}
