//! The seal: how a PIN reaches the signer, and how it is forgotten.

mod attempts;
mod descriptor_store;
mod invitation;
mod supervisor;

use aws_lc_rs::digest::{SHA256, digest};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{CryptoRng, RngCore};
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use policy::key::PublicKey;
use zeroize::Zeroizing;

use crate::journal::JournalId;
use crate::wire::{Challenge, UnsealBox};

pub(crate) use attempts::Attempts;
pub(crate) use descriptor_store::{DescriptorStore, NAME as STORED};
pub(crate) use invitation::{Invitation, NotOpened};
pub(crate) use supervisor::Supervisor;

/// What begins every statement that an identity key signs, so that its signatures mean nothing
/// anywhere else.
const CONTEXT: &[u8] = b"signet unseal key, version 1\0";

/// Longest PIN in bytes. Every box holds this many, so that its length tells nothing.
pub(crate) const MAX_PIN: usize = 255;

/// What the identity key signs when a signer starts sealed: a fixed context, the journal's id (one
/// octet of length before it) and the HPKE public key.
pub fn statement(journal: &JournalId, hpke_public: &[u8; 32]) -> Vec<u8> {
    let id = journal.0.as_bytes();
    let length = u8::try_from(id.len()).expect("a journal's id has 32 digits");
    [CONTEXT, &[length], id, hpke_public].concat()
}

/// Whether `bytes` are a statement about an unseal key, which is all that an identity key signs.
pub(crate) fn is_statement(bytes: &[u8]) -> bool {
    hpke_public(bytes).is_some()
}

/// The HPKE public key that a statement holds.
fn hpke_public(statement: &[u8]) -> Option<&[u8; 32]> {
    let (length, rest) = statement.strip_prefix(CONTEXT)?.split_first()?;
    let (id, public) = rest.split_at_checked(usize::from(*length))?;
    if id.is_empty() || !id.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    public.try_into().ok()
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
    #[error("the PIN could not be encrypted: it may have 255 bytes at most")]
    Hpke,
}

/// Encrypts `pin` to the signer that issued `challenge`, after checking that the identity key
/// (`pinned`: SHA-256 of its SubjectPublicKeyInfo) vouches for it. Used by signetctl only.
pub fn seal_pin(challenge: &Challenge, pinned: &[u8; 32], pin: &[u8]) -> Result<UnsealBox, BoxError> {
    if digest(&SHA256, &challenge.identity_spki).as_ref() != pinned {
        return Err(BoxError::Identity);
    }
    let public = vouched_for(challenge).ok_or(BoxError::Statement)?;
    encrypt(public, challenge, pin).ok_or(BoxError::Hpke)
}

/// The HPKE key in a challenge, if the identity key in it signed the statement about it.
fn vouched_for(challenge: &Challenge) -> Option<&[u8; 32]> {
    let identity = PublicKey::from_spki(&challenge.identity_spki).ok()?;
    identity.verify(identity.certificate_scheme(), &challenge.statement, &challenge.signature).ok()?;
    hpke_public(&challenge.statement)
}

fn encrypt(public: &[u8; 32], challenge: &Challenge, pin: &[u8]) -> Option<UnsealBox> {
    let mut plaintext = Zeroizing::new([0; 1 + MAX_PIN]);
    plaintext[0] = u8::try_from(pin.len()).ok()?;
    plaintext[1..=pin.len()].copy_from_slice(pin);
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).ok()?;
    let (encapsulated, tag) =
        hpke::single_shot_seal_in_place_detached::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
            &OpModeS::Base,
            &public,
            &challenge.statement,
            &mut plaintext[..],
            &challenge.challenge,
            &mut Generator::try_new()?,
        )
        .ok()?;
    Some(UnsealBox {
        challenge: challenge.challenge,
        encapsulated: encapsulated.to_bytes().to_vec(),
        ciphertext: [&plaintext[..], &tag.to_bytes()].concat(),
    })
}

/// The system's generator in the form that HPKE wants.
struct Generator;

impl Generator {
    /// `None` if the generator does not work.
    fn try_new() -> Option<Self> {
        aws_lc_rs::rand::fill(&mut [0; 1]).ok().map(|()| Self)
    }
}

impl RngCore for Generator {
    fn next_u32(&mut self) -> u32 {
        hpke::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        hpke::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the system's generator worked a moment ago");
    }
}

impl CryptoRng for Generator {}

#[cfg(test)]
mod tests;
