//! Where the ceremony puts things, and whether they are there already.

use std::path::{Path, PathBuf};

use super::files;

/// Every place that the ceremony writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Configuration, certificates, transcript.
    pub config: PathBuf,
    /// Journals and, with SoftHSM, tokens.
    pub state: PathBuf,
    /// Sockets.
    pub run: PathBuf,
    /// What the first administrator takes away.
    pub bundle: PathBuf,
    /// The transcript; it is written last, so that its presence says that the ceremony is complete.
    pub transcript: PathBuf,
}

/// What an earlier run has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A complete ceremony.
    Complete,
    /// Nothing.
    Nothing,
    /// A part; these paths exist.
    Part(Vec<PathBuf>),
    /// The transcript says complete, but these paths are gone.
    Missing(Vec<PathBuf>),
}

impl Layout {
    pub(super) fn ca(&self, file: &str) -> PathBuf {
        self.config.join("ca").join(file)
    }

    pub(super) fn signer(&self, name: &str) -> PathBuf {
        self.config.join(format!("signer-{name}.toml"))
    }

    pub(super) fn softhsm(&self, name: &str) -> PathBuf {
        self.config.join(format!("softhsm-{name}.conf"))
    }

    pub(super) fn tls_pin(&self) -> PathBuf {
        self.config.join("tls.pin")
    }

    pub(super) fn profiles(&self) -> PathBuf {
        self.config.join("profiles")
    }

    pub(super) fn state_of(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    pub(super) fn tokens(&self, name: &str) -> PathBuf {
        self.state_of(name).join("tokens")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.state_of("ca").join("journal")
    }

    pub(super) fn socket(&self, name: &str) -> PathBuf {
        self.run.join(format!("{name}.sock"))
    }

    pub(super) fn found(&self) -> Found {
        if files::is_taken(&self.transcript) {
            let gone = self.lasting().into_iter().filter(|path| !files::is_taken(path)).collect::<Vec<_>>();
            return if gone.is_empty() { Found::Complete } else { Found::Missing(gone) };
        }
        let mut there: Vec<PathBuf> = self.lasting().into_iter().filter(|path| files::is_taken(path)).collect();
        there.extend(self.passing().into_iter().filter(|path| files::is_taken(path)));
        if there.is_empty() { Found::Nothing } else { Found::Part(there) }
    }

    /// What is there as long as the appliance lives.
    fn lasting(&self) -> Vec<PathBuf> {
        let certificates = ["root.pem", "root.crl", "issuing-1.pem", "tls-1.pem", "ocsp-1.pem", "identity.pub"];
        let mut paths: Vec<PathBuf> = certificates.iter().map(|file| self.ca(file)).collect();
        paths.extend([self.signer("ca"), self.signer("tls"), self.journal()]);
        paths
    }

    /// What a ceremony makes, and an administrator may take away: the root token, the bundle, and
    /// files that a complete appliance may have replaced.
    fn passing(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = ["root", "ca", "tls"].iter().map(|name| self.state_of(name)).collect();
        paths.extend(["root", "ca", "tls"].iter().map(|name| self.softhsm(name)));
        paths.extend([self.tls_pin(), self.bundle.clone()]);
        paths
    }
}

/// Paths as a person reads them in a sentence.
pub(super) fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| Path::display(path).to_string()).collect::<Vec<_>>().join(", ")
}
