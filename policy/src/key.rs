//! Public keys: parsed, checked for weakness, and used to verify.

use serde::{Deserialize, Serialize};

/// Kinds of keys that Signet issues for and signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// Ed25519, RFC 8410
    Ed25519,
    /// NIST P-256
    P256,
    /// NIST P-384
    P384,
    /// RSA; the size is checked on its own
    Rsa,
}

/// How a signature is made. One per [`KeyAlgorithm`], except RSA, which TLS also uses with PSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignatureScheme {
    /// ECDSA with SHA-256 on P-256
    EcdsaP256Sha256,
    /// ECDSA with SHA-384 on P-384
    EcdsaP384Sha384,
    /// Ed25519
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    RsaPkcs1Sha256,
    /// RSASSA-PSS with SHA-256, salt of 32 octets (TLS 1.3)
    RsaPssSha256,
}

/// A subject public key whose parameters are sound: known algorithm, allowed size, odd public
/// exponent of at least 65537, no ROCA fingerprint, no Fermat-close primes, point on its curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    bits: u16,
    spki: Vec<u8>,
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a SubjectPublicKeyInfo.
    #[error("the public key is not a SubjectPublicKeyInfo")]
    Malformed,
    /// The algorithm or curve is none that Signet knows.
    #[error("the key's algorithm is not RSA, P-256, P-384 or Ed25519")]
    UnknownAlgorithm,
    /// The key is weak; the text names the weakness.
    #[error("the key is weak: {0}")]
    Weak(&'static str),
}

/// A signature does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify with the public key")]
pub struct BadSignature;

impl PublicKey {
    /// Parses a DER SubjectPublicKeyInfo and refuses weak keys (CA/Browser Forum BR 6.1.1.3).
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let _ = der;
        unimplemented!()
    }

    /// The DER SubjectPublicKeyInfo, re-encoded canonically.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// RSA modulus or curve size in bits.
    pub fn bits(&self) -> u16 {
        self.bits
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> [u8; 32] {
        unimplemented!()
    }

    /// Key identifier: the leftmost 160 bits of the SHA-256 of the public key's BIT STRING
    /// (RFC 7093 section 2, method 1).
    pub fn key_identifier(&self) -> [u8; 20] {
        unimplemented!()
    }

    /// Verifies `signature` over `message`. ECDSA signatures are in DER form (Ecdsa-Sig-Value).
    pub fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let _ = (scheme, message, signature);
        unimplemented!()
    }

    /// The scheme that certificates signed by this key use.
    pub fn certificate_scheme(&self) -> SignatureScheme {
        match self.algorithm {
            KeyAlgorithm::Ed25519 => SignatureScheme::Ed25519,
            KeyAlgorithm::P256 => SignatureScheme::EcdsaP256Sha256,
            KeyAlgorithm::P384 => SignatureScheme::EcdsaP384Sha384,
            KeyAlgorithm::Rsa => SignatureScheme::RsaPkcs1Sha256,
        }
    }
}
