//! The key ceremony: tokens, keys, certificates, the first administrator, the transcript.
//!
//! [`Init::run`] does everything once, on an empty host, and nothing is ever overwritten. It is
//! complete when the transcript is there, which is written last. What it signs is in the CA's
//! journal before it is in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::effects::{Clock, Entropy, EntropyError};
use policy::name::Name;
use zeroize::Zeroizing;

use crate::pkcs11::{LoginError, Pin, TokenError};

mod act;
mod admin;
mod certify;
mod console;
mod crl;
mod custody;
mod files;
mod guise;
mod layout;
mod record;
mod rehearsal;
mod settings;

pub use admin::{AdminKey, Administrator, SoftwareKey, administrators, read_csr};
pub use console::{Issued, LockedConsole, Revocation, RootCrl, SigningConsole, read_certificate};
pub(crate) use crl::ROOT_CRL_DAYS;
pub use custody::Algorithm;
pub use files::{FileError, free, read_secret, replace_public, write_public, write_secret};
pub use guise::Guise;
pub use layout::Layout;
pub use record::{entries, rfc3339};
pub(crate) use settings::signetd;

use layout::Found;

/// What the operator decided before the ceremony.
pub struct Init {
    /// Where things go.
    pub layout: Layout,
    /// PKCS#11 module.
    pub module: PathBuf,
    /// Name of the organization, in the CA's subject.
    pub organization: String,
    /// Names of the TLS server certificate; the first one is its common name.
    pub hosts: Vec<Name>,
    /// Plain HTTP base of CRL and CA certificate, if they are published.
    pub pki_url: Option<String>,
    /// Where administrators reach the appliance.
    pub public_url: Option<String>,
    /// Algorithm of the issuing key.
    pub algorithm: Algorithm,
    /// Algorithm of the root key.
    pub root_algorithm: Algorithm,
    /// The first administrator's name.
    pub admin: String,
}

/// The secrets of a ceremony.
pub struct Pins {
    root: Pin,
    ca: Pin,
    tls: Pin,
    so: Pin,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// SHA-256 of the identity key's SubjectPublicKeyInfo, which administrators pin.
    pub identity: String,
    /// SHA-256 of the root certificate.
    pub root: String,
}

/// Whether the host can take a ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// It had one: the sentence says where its transcript is.
    Initialised(String),
    /// It had none.
    Empty,
}

/// For whom files are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The packaged service: accounts of its own, PINs as systemd credentials.
    Installed {
        /// uid of `signetd`.
        daemon: u32,
        /// uid and gid of the signers.
        signer: (u32, u32),
    },
    /// Whoever runs the command, who will run the programs too.
    Private,
}

/// Why a command on the console stopped. What it had done until then stays.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A file cannot be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal cannot be opened.
    #[error(transparent)]
    JournalOpen(#[from] crate::journal::OpenError),
    /// The journal cannot be written.
    #[error(transparent)]
    JournalWrite(#[from] crate::journal::WriteError),
    /// One sentence that says what is wrong and what to do.
    #[error("{0}")]
    Refused(String),
    /// The signer's word.
    #[error(transparent)]
    Signer(#[from] crate::signer::StartError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Tbs(#[from] policy::tbs::TbsError),
    /// The token failed, or said no to a PIN.
    #[error("{0}")]
    Token(String),
}

impl Init {
    /// Looks at the host and changes nothing. A host where an earlier run stopped half-way is
    /// refused with what is there and what to do.
    pub fn host(&self) -> Result<Host, CeremonyError> {
        let transcript = self.layout.transcript.display();
        match self.layout.found() {
            Found::Complete => Ok(Host::Initialised(format!(
                "already initialised: nothing was changed; the transcript is {transcript}"
            ))),
            Found::Nothing => Ok(Host::Empty),
            Found::Part(there) => Err(CeremonyError::Refused(format!(
                "an earlier ceremony stopped half-way, or something else is here: {}; nothing is ever overwritten: if no certificate of it is in use, move these away and run again",
                layout::list(&there)
            ))),
            Found::Missing(gone) => Err(CeremonyError::Refused(format!(
                "{transcript} says that this host was initialised, but these are gone: {}; restore them from a backup",
                layout::list(&gone)
            ))),
        }
    }

    /// The ceremony. Refused unless [`Init::host`] finds the host empty.
    pub fn run(
        &self,
        pins: &Pins,
        admin: &AdminKey,
        clock: Arc<dyn Clock>,
        entropy: &mut dyn Entropy,
    ) -> Result<Report, CeremonyError> {
        match self.host()? {
            Host::Initialised(sentence) => Err(CeremonyError::Refused(sentence)),
            Host::Empty => act::perform(self, pins, admin, clock, entropy),
        }
    }
}

impl Standing {
    /// The packaged service is recognised by its accounts and its state directory.
    fn of(layout: &Layout) -> Self {
        let account = |name| nix::unistd::User::from_name(name).ok().flatten();
        match (account("signet"), account("signet-signer")) {
            (Some(daemon), Some(signer))
                if nix::unistd::geteuid().is_root() && layout.state == Path::new(INSTALLED_STATE) =>
            {
                Self::Installed { daemon: daemon.uid.as_raw(), signer: (signer.uid.as_raw(), signer.gid.as_raw()) }
            }
            _ => Self::Private,
        }
    }

    fn daemon_uid(self) -> Option<u32> {
        match self {
            Self::Installed { daemon, .. } => Some(daemon),
            Self::Private => None,
        }
    }
}

impl Pins {
    /// Takes the PINs that the operator chose; without one for the TLS token, one is drawn.
    pub fn new(
        root: Zeroizing<Vec<u8>>,
        ca: Zeroizing<Vec<u8>>,
        tls: Option<Zeroizing<Vec<u8>>>,
        so: Zeroizing<Vec<u8>>,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, CeremonyError> {
        let tls = match tls {
            Some(pin) => pin,
            None => {
                let mut drawn = Zeroizing::new([0u8; 16]);
                entropy.fill(drawn.as_mut_slice())?;
                Zeroizing::new(record::hexadecimal(drawn.as_slice()).into_bytes())
            }
        };
        for (pin, whose) in [(&root, "root token"), (&ca, "CA token"), (&tls, "TLS token"), (&so, "security officer")] {
            if !PIN_LENGTH.contains(&pin.len()) {
                return Err(CeremonyError::Refused(format!(
                    "the PIN of the {whose} must have {} to {} octets: choose another",
                    PIN_LENGTH.start(),
                    PIN_LENGTH.end()
                )));
            }
        }
        Ok(Self { root: Pin(root), ca: Pin(ca), tls: Pin(tls), so: Pin(so) })
    }
}

impl From<TokenError> for CeremonyError {
    fn from(error: TokenError) -> Self {
        Self::Token(error.to_string())
    }
}

impl From<LoginError> for CeremonyError {
    fn from(error: LoginError) -> Self {
        Self::Token(error.to_string())
    }
}

/// The state directory of the packaged service.
const INSTALLED_STATE: &str = "/var/lib/signet-signer";

/// What SoftHSM takes. It is checked before anything is made, so that a token's refusal does not
/// leave half a ceremony.
const PIN_LENGTH: std::ops::RangeInclusive<usize> = 4..=255;
