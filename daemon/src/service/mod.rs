//! Use cases shared by all surfaces, and the state they work on.

pub mod acme;
pub mod activation;
pub mod administrators;
pub mod authorities;
pub mod ca;
pub mod certificates;
pub mod crl;
pub mod events;
pub mod explain;
mod failure;
pub mod health;
pub mod issue;
pub mod limits;
pub mod metrics;
pub mod named;
pub mod nodes;
pub mod ocsp;
pub mod peer;
pub mod profiles;
pub mod requests;
pub mod revocation;
pub mod rights;
pub mod seal;
pub mod search;
pub mod secrets;
pub mod tokens;

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use policy::effects::{Clock, Entropy, EntropyError};
use policy::tbs::Issuer;

use crate::config;
use crate::current::{Current, Profiles};
use crate::issuance::ca::Ca;
use crate::revocation::Desk;
use crate::store::Store;

pub use failure::Failure;

/// What the use cases work on. Built once, by boot.
pub struct Services {
    /// What the ACME surface offers.
    pub acme: config::Acme,
    /// Other ways from the issuing certificate to a root than the default one: PEM, the issuing
    /// certificate first.
    pub alternate_chains: Current<Vec<String>>,
    /// The CA signer.
    pub ca: Ca,
    /// Calls that their callers may repeat.
    pub calls: issue::Calls,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// What the daemon was told.
    pub config: Current<config::InForce>,
    /// What this process has given up, and what it could not.
    pub hardening: Vec<health::Measure>,
    /// The issuing certificate.
    pub issuer: Current<Issuer>,
    /// Label of the issuing key in the CA signer.
    pub issuer_key: String,
    /// How often anybody may ask for something.
    pub limits: Arc<limits::Limits>,
    /// What the daemon counts.
    pub metrics: metrics::Metrics,
    /// Every profile of the profile directory, by name.
    pub profiles: Current<Profiles>,
    /// Base URL under which clients reach the daemon, without a slash at the end.
    pub public_url: String,
    /// Where random bytes come from.
    pub random: Random,
    /// Labels of issuing keys whose certificates are to be replaced at once.
    pub retiring: Vec<String>,
    /// What relying parties are told of certificates: CRLs and OCSP.
    pub revocation: Arc<Desk>,
    /// The root certificate, DER.
    pub root: Vec<u8>,
    /// The records.
    pub store: Store,
    /// The server certificate and what leads to the root, DER.
    pub tls_chain: Current<Vec<Vec<u8>>>,
    /// The uPKI dialect.
    pub upki: config::Upki,
    /// How control of names is validated.
    pub validation: config::Validation,
    /// How the signers were when they were last asked.
    pub vitals: health::Vitals,
}

/// One source of random bytes for all requests.
pub struct Random(Mutex<Box<dyn Entropy>>);

impl Random {
    /// Draws from `entropy`.
    pub fn new(entropy: Box<dyn Entropy>) -> Self {
        Self(Mutex::new(entropy))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], EntropyError> {
        let mut bytes = [0; N];
        // A panic in another thread leaves nothing half done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// Names one HTTP request in every log line, in the journal and in the answer's `X-Request-Id`.
/// The HTTP layer puts one into the extensions of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A fresh id of 96 random bits.
    pub fn generate(random: &Random) -> Result<Self, EntropyError> {
        let bytes: [u8; 12] = random.bytes()?;
        let mut text = String::with_capacity(24);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a String takes everything");
        }
        Ok(Self(text.into()))
    }

    /// The id as text: 24 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
