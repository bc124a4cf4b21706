//! instant-acme, a Rust library, in a program of ours (`interop/instant-acme`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{External, Said, interop, run, tell_zone};
use crate::rig::Rig;

/// An account of instant-acme's, with files of its own.
pub struct Instant<'a> {
    rig: &'a Rig,
    directory: PathBuf,
}

impl<'a> Instant<'a> {
    /// Without an account.
    pub fn new(rig: &'a Rig) -> Self {
        Self::named(rig, "instant")
    }

    /// Another one on the same rig.
    pub fn named(rig: &'a Rig, name: &str) -> Self {
        let directory = rig.directory().join(name);
        std::fs::create_dir_all(&directory).expect("a folder");
        Self { rig, directory }
    }

    /// Makes the account; its URL is the last word.
    pub fn register(&self, external: Option<&External>) -> Said {
        match external {
            None => self.run(&["register"]),
            Some(External { kid, hmac }) => self.run(&["register", "--kid", kid, "--hmac", hmac]),
        }
    }

    /// Obtains a certificate; prints the order's URL and the profile that it got.
    pub fn obtain(&self, proof: &str, arguments: &[&str]) -> Said {
        self.run(&[&["obtain", "--proof", proof], arguments].concat())
    }

    /// One of the program's verbs.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let environment = &self.rig.environment;
        let mut command = Command::new(program());
        for (flag, value) in [
            ("--directory", environment.get("SIGNET_DIRECTORY")),
            ("--trust", environment.get("SIGNET_CA_FILE")),
            ("--http-port", environment.get("SIGNET_HTTP01_PORT")),
            ("--tls-port", environment.get("SIGNET_TLS01_PORT")),
        ] {
            command.args([flag, value]);
        }
        command.arg("--folder").arg(&self.directory).arg("--dns-hook").arg(interop("hooks/dns"));
        tell_zone(self.rig, &mut command);
        run(command.args(arguments))
    }

    /// The newest certificate with the chain, for the first name of an order.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}.pem", name.replace('*', "_")))
    }
}

/// Built when it is first asked for, into the same directory as everything else.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(interop("instant-acme/Cargo.toml"));
        let status = build.arg("--target-dir").arg(&target).status().expect("cargo");
        assert!(status.success(), "the program on instant-acme does not build");
        target.join("debug/instant")
    })
}
