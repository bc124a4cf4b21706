//! The packages under test, made of the programs that the other tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages of one version.
pub(crate) struct Packages {
    pub(crate) deb: PathBuf,
    pub(crate) rpm: PathBuf,
}

/// Makes both packages with `packaging/build`.
pub(crate) fn build(version: &str, out: &Path) -> Packages {
    let programs = softhsm_tests::programs::directory();
    let profile = if programs.ends_with("release") { "release" } else { "debug" };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build");
    let said = Command::new(script)
        .args(["--profile", profile, "--version", version, "--out"])
        .arg(out)
        .output()
        .expect("packaging/build");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}{err}");
    let made = |kind: &str| {
        let line = out.lines().find(|line| line.ends_with(kind)).unwrap_or_else(|| panic!("no {kind}: {out}{err}"));
        PathBuf::from(line)
    };
    Packages { deb: made(".deb"), rpm: made(".rpm") }
}
