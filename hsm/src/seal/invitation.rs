//! A sealed signer's invitation to unseal it: the HPKE key of this start, and the challenges that
//! are open.

use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, Serializable};
use policy::effects::{Entropy, EntropyError};
use zeroize::Zeroizing;

use super::{MAX_PIN, statement};
use crate::journal::JournalId;
use crate::pkcs11::Pin;
use crate::wire::{Challenge, UnsealBox};

/// Most challenges that are open at one time: several administrators may try at once.
const MOST_OPEN: usize = 8;

/// Length of an authentication tag.
const TAG: usize = 16;

/// The HPKE key of this start, what the identity key says of it, and the open challenges.
pub(crate) struct Invitation {
    secret: <X25519HkdfSha256 as Kem>::PrivateKey,
    statement: Vec<u8>,
    identity_spki: Vec<u8>,
    signature: Vec<u8>,
    open: Vec<[u8; 32]>,
}

/// Why a box was not opened. No PIN came out of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// It answers no open challenge.
    Challenge,
    /// It was not made for this key and challenge, or was changed on the way.
    Malformed,
}

impl Invitation {
    /// Makes a key. `vouch` asks the identity key for its signature over the statement, and returns
    /// that key's SubjectPublicKeyInfo and the signature.
    pub(crate) fn new<E: From<EntropyError>>(
        journal: &JournalId,
        entropy: &mut dyn Entropy,
        vouch: impl FnOnce(&[u8]) -> Result<(Vec<u8>, Vec<u8>), E>,
    ) -> Result<Self, E> {
        let mut material = Zeroizing::new([0; 32]);
        entropy.fill(&mut material[..])?;
        let (secret, public) = X25519HkdfSha256::derive_keypair(&material[..]);
        let statement = statement(journal, &public.to_bytes().into());
        let (identity_spki, signature) = vouch(&statement)?;
        Ok(Self { secret, statement, identity_spki, signature, open: Vec::new() })
    }

    /// A fresh challenge. The oldest open one is void if there are too many.
    pub(crate) fn challenge(&mut self, entropy: &mut dyn Entropy) -> Result<Challenge, EntropyError> {
        let mut challenge = [0; 32];
        entropy.fill(&mut challenge)?;
        if self.open.len() == MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push(challenge);
        Ok(Challenge {
            challenge,
            statement: self.statement.clone(),
            identity_spki: self.identity_spki.clone(),
            signature: self.signature.clone(),
        })
    }

    /// Opens a box. Every open challenge is void from now on, whatever comes of it.
    pub(crate) fn open(&mut self, boxed: &UnsealBox) -> Result<Pin, NotOpened> {
        if !std::mem::take(&mut self.open).contains(&boxed.challenge) {
            return Err(NotOpened::Challenge);
        }
        self.decrypt(boxed).ok_or(NotOpened::Malformed)
    }

    fn decrypt(&self, boxed: &UnsealBox) -> Option<Pin> {
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&boxed.encapsulated).ok()?;
        let (ciphertext, tag) = boxed.ciphertext.split_last_chunk::<TAG>()?;
        let tag = AeadTag::<ChaCha20Poly1305>::from_bytes(tag).ok()?;
        let mut plaintext = Zeroizing::new([0; 1 + MAX_PIN]);
        if ciphertext.len() != plaintext.len() {
            return None;
        }
        plaintext.copy_from_slice(ciphertext);
        hpke::single_shot_open_in_place_detached::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.secret,
            &encapsulated,
            &self.statement,
            &mut plaintext[..],
            &boxed.challenge,
            &tag,
        )
        .ok()?;
        let (length, padded) = plaintext.split_first()?;
        Some(Pin(Zeroizing::new(padded[..usize::from(*length)].to_vec())))
    }
}
