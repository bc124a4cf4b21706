//! The seal: how a PIN reaches the signer, and how it is forgotten.

use crate::journal::JournalId;
use crate::wire::{Challenge, UnsealBox};

/// What the identity key signs when a signer starts sealed: a fixed context, the journal's id and
/// the HPKE public key.
pub fn statement(journal: &JournalId, hpke_public: &[u8; 32]) -> Vec<u8> {
    let _ = (journal, hpke_public);
    unimplemented!()
}

/// Why a challenge is not trusted, or a box not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// The identity key is not the pinned one.
    #[error(
        "this appliance's identity is not the one in your profile: you may be talking to another host, do not type the PIN"
    )]
    Identity,
    /// The identity's signature does not verify, or the statement is malformed.
    #[error("the signer's unseal key is not vouched for by the appliance's identity key: do not type the PIN")]
    Statement,
    /// Encryption failed.
    #[error("the PIN could not be encrypted")]
    Hpke,
}

/// Encrypts `pin` to the signer that issued `challenge`, after checking that the identity key
/// (`pinned`: SHA-256 of its SubjectPublicKeyInfo) vouches for it. Used by signetctl only.
pub fn seal_pin(challenge: &Challenge, pinned: &[u8; 32], pin: &[u8]) -> Result<UnsealBox, BoxError> {
    let _ = (challenge, pinned, pin);
    unimplemented!()
}
