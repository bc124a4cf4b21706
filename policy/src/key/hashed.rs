//! Messages that are too large to be held: hashed piece by piece, then signed and verified.

use aws_lc_rs::digest::{Context, Digest, SHA256, SHA384};
use aws_lc_rs::signature::UnparsedPublicKey;

use super::{BadSignature, PublicKey, SignatureScheme};

/// Takes a message in, piece by piece, as a scheme will sign it.
pub struct Hasher {
    scheme: SignatureScheme,
    state: State<Context>,
}

/// A message as a scheme signs it: its digest, or for Ed25519 the message itself.
pub struct Hashed {
    scheme: SignatureScheme,
    state: State<Digest>,
}

enum State<D> {
    Digest(D),
    Whole(Vec<u8>),
}

/// Ed25519 signs no digest (RFC 8032 section 5.1.6), so that its message must be held whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an Ed25519 key signs at most {} MiB at once: divide the issuer's certificates into shards, or use another kind of key",
    Hasher::MOST_WHOLE >> 20
)]
pub struct TooLong;

impl Hasher {
    /// Longest message that an Ed25519 key signs, in octets.
    pub const MOST_WHOLE: usize = 8 << 20;

    /// The beginning of a message.
    pub fn new(scheme: SignatureScheme) -> Self {
        let state = match scheme {
            SignatureScheme::EcdsaP384Sha384 => State::Digest(Context::new(&SHA384)),
            SignatureScheme::Ed25519 => State::Whole(Vec::new()),
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::RsaPkcs1Sha256 | SignatureScheme::RsaPssSha256 => {
                State::Digest(Context::new(&SHA256))
            }
        };
        Self { scheme, state }
    }

    /// More of it.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        match &mut self.state {
            State::Digest(context) => context.update(piece),
            State::Whole(message) if message.len() + piece.len() > Self::MOST_WHOLE => return Err(TooLong),
            State::Whole(message) => message.extend_from_slice(piece),
        }
        Ok(())
    }

    /// Its end.
    pub fn finish(self) -> Hashed {
        let state = match self.state {
            State::Digest(context) => State::Digest(context.finish()),
            State::Whole(message) => State::Whole(message),
        };
        Hashed { scheme: self.scheme, state }
    }
}

impl Hashed {
    /// A message at once.
    pub fn of(scheme: SignatureScheme, message: &[u8]) -> Result<Self, TooLong> {
        let mut hasher = Hasher::new(scheme);
        hasher.update(message)?;
        Ok(hasher.finish())
    }

    /// The scheme that it was hashed for.
    pub fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The digest; for Ed25519 the message.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.state {
            State::Digest(digest) => digest.as_ref(),
            State::Whole(message) => message,
        }
    }
}

impl PublicKey {
    /// Verifies `signature` over the message that was hashed.
    pub fn verify_hashed(&self, hashed: &Hashed, signature: &[u8]) -> Result<(), BadSignature> {
        match &hashed.state {
            State::Whole(message) => self.verify(hashed.scheme, message, signature),
            State::Digest(digest) => {
                let algorithm = self.algorithm_for(hashed.scheme)?;
                let key = UnparsedPublicKey::new(algorithm, self.bit_string());
                key.verify_digest(digest, signature).map_err(|_| BadSignature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;
    use crate::testing::KeyPair;

    #[test]
    fn a_message_in_pieces_verifies_as_the_whole_does() {
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa] {
            let pair = KeyPair::generate(algorithm);
            let scheme = pair.public().certificate_scheme();
            let signature = pair.sign(scheme, b"a long message");
            let mut hasher = Hasher::new(scheme);
            hasher.update(b"a long ").unwrap();
            hasher.update(b"message").unwrap();
            let hashed = hasher.finish();
            assert_eq!(pair.public().verify_hashed(&hashed, &signature), Ok(()), "{algorithm:?}");
            let other = Hashed::of(scheme, b"a long massage").unwrap();
            assert_eq!(pair.public().verify_hashed(&other, &signature), Err(BadSignature), "{algorithm:?}");
            assert_eq!(pair.public().verify_hashed(&hashed, &signature[1..]), Err(BadSignature));
            let stranger = KeyPair::generate(algorithm).public();
            assert_eq!(stranger.verify_hashed(&hashed, &signature), Err(BadSignature), "{algorithm:?}");
        }
    }

    #[test]
    fn a_message_for_one_kind_of_key_does_not_verify_with_another() {
        let pair = KeyPair::generate(KeyAlgorithm::P256);
        let signature = pair.sign(SignatureScheme::EcdsaP256Sha256, b"message");
        for scheme in [SignatureScheme::EcdsaP384Sha384, SignatureScheme::RsaPkcs1Sha256, SignatureScheme::Ed25519] {
            let hashed = Hashed::of(scheme, b"message").unwrap();
            assert_eq!(pair.public().verify_hashed(&hashed, &signature), Err(BadSignature), "{scheme:?}");
        }
    }

    #[test]
    fn only_what_signs_messages_whole_has_a_limit() {
        let piece = vec![0; Hasher::MOST_WHOLE];
        let mut edwards = Hasher::new(SignatureScheme::Ed25519);
        assert_eq!(edwards.update(&piece), Ok(()));
        assert_eq!(edwards.update(&[0]), Err(TooLong));
        assert_eq!(Hasher::new(SignatureScheme::EcdsaP256Sha256).update(&[&piece[..], &[0]].concat()), Ok(()));
    }
}
