//! Certification requests (PKCS#10, RFC 2986).

use crate::key::{KeyError, PublicKey};
use crate::name::{Name, NameError};

/// A certification request whose signature proves possession of its key.
///
/// Nothing is copied from it into a certificate but the public key (J5); the names are there only
/// to be compared with what was authorised.
#[derive(Clone, Debug)]
pub struct Csr {
    key: PublicKey,
    names: Vec<Name>,
    common_name: Option<String>,
}

/// Why a certification request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not DER, trailing bytes, wrong version, or too large.
    #[error("the CSR is not a DER PKCS#10 request: {0}")]
    Malformed(&'static str),
    /// A requested extension is one that Signet does not know how to compare.
    #[error("the CSR asks for an extension that is not allowed: {0}")]
    Extension(String),
    /// The key is refused.
    #[error("the CSR's key is refused")]
    Key(#[from] KeyError),
    /// A name in it is not a name.
    #[error("the CSR holds a name that is not valid")]
    Name(#[from] NameError),
    /// The self-signature does not verify.
    #[error("the CSR's signature does not verify with its own key")]
    Signature,
}

impl Csr {
    /// Largest request that is read, in bytes.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Parses DER and verifies the proof of possession.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        let _ = der;
        unimplemented!()
    }

    /// The key whose possession was proved.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The names it asks for: subject alternative names, and a common name that is a name; sorted,
    /// without duplicates.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The subject's common name, as written.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}
