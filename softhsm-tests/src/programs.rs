//! Where the programs under test are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory that cargo builds the programs in: this program's own, or for a test the one above.
/// Under `cargo test` they are built first, so that a test never meets an old daemon.
pub fn directory() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(find).clone()
}

fn find() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let directory = own.parent().unwrap_or(Path::new("/"));
    let Some(target) = directory.parent().filter(|_| directory.ends_with("deps")) else {
        return directory.to_owned();
    };
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--workspace"]);
        if target.ends_with("release") {
            build.arg("--release");
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
        assert!(status.success(), "the programs under test do not build");
    }
    target.to_owned()
}
