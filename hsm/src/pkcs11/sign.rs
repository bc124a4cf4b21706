//! Signatures: what the token is given to sign, and what becomes of its answer.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;
use der::asn1::UintRef;
use der::{Encode, Sequence};
use policy::key::{Hashed, KeyAlgorithm, SignatureScheme};

/// DigestInfo for SHA-256 without its last 32 octets, RFC 8017 section 9.2 note 1.
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Octets of the salt, as TLS 1.3 has it (RFC 8446 section 4.2.3).
const PSS_SALT: Ulong = Ulong::new(32);

/// What goes into the token for one signature. A digest is always made outside of it, so that it has
/// the length it must have (CKM_ECDSA takes input of any), and a long message costs the token nothing.
/// Ed25519 alone signs the message itself.
pub(super) struct Job {
    scheme: SignatureScheme,
    pub(super) mechanism: Mechanism<'static>,
    pub(super) input: Vec<u8>,
}

impl Job {
    pub(super) fn new(hashed: &Hashed) -> Self {
        let input = hashed.as_bytes();
        let (mechanism, input) = match hashed.scheme() {
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha384 => (Mechanism::Ecdsa, input.to_vec()),
            SignatureScheme::Ed25519 => {
                (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), input.to_vec())
            }
            SignatureScheme::RsaPkcs1Sha256 => (Mechanism::RsaPkcs, [&SHA256_INFO[..], input].concat()),
            SignatureScheme::RsaPssSha256 => {
                let hash_alg = MechanismType::SHA256;
                let parameters = PkcsPssParams { hash_alg, mgf: PkcsMgfType::MGF1_SHA256, s_len: PSS_SALT };
                (Mechanism::RsaPkcsPss(parameters), input.to_vec())
            }
        };
        Self { scheme: hashed.scheme(), mechanism, input }
    }

    /// The signature in the form that X.509 and TLS want; `None` if the token's answer is none.
    pub(super) fn signature(&self, answer: Vec<u8>) -> Option<Vec<u8>> {
        match self.scheme {
            SignatureScheme::EcdsaP256Sha256 => ecdsa(&answer, 32),
            SignatureScheme::EcdsaP384Sha384 => ecdsa(&answer, 48),
            SignatureScheme::Ed25519 | SignatureScheme::RsaPkcs1Sha256 | SignatureScheme::RsaPssSha256 => Some(answer),
        }
    }
}

/// The kind of key that a scheme needs.
pub(super) fn algorithm(scheme: SignatureScheme) -> KeyAlgorithm {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => KeyAlgorithm::P256,
        SignatureScheme::EcdsaP384Sha384 => KeyAlgorithm::P384,
        SignatureScheme::Ed25519 => KeyAlgorithm::Ed25519,
        SignatureScheme::RsaPkcs1Sha256 | SignatureScheme::RsaPssSha256 => KeyAlgorithm::Rsa,
    }
}

/// Ecdsa-Sig-Value, RFC 5480 appendix A.
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// Makes Ecdsa-Sig-Value from the token's r and s of `size` octets each.
fn ecdsa(raw: &[u8], size: usize) -> Option<Vec<u8>> {
    if raw.len() != 2 * size {
        return None;
    }
    let (r, s) = raw.split_at(size);
    EcdsaSignature { r: UintRef::new(r).ok()?, s: UintRef::new(s).ok()? }.to_der().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_integers_are_minimal_and_positive() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = ecdsa(&raw, 32).expect("encodes");
        assert_eq!(der[..8], [0x30, 38, 2, 1, 1, 2, 33, 0]);
        assert_eq!(der[8], 0x80);
    }

    #[test]
    fn an_answer_of_another_length_is_no_ecdsa_signature() {
        let job = Job::new(&Hashed::of(SignatureScheme::EcdsaP256Sha256, b"message").expect("short"));
        for length in [0, 1, 63, 65, 96] {
            assert_eq!(job.signature(vec![1; length]), None, "{length}");
        }
        assert_eq!(job.input.len(), 32);
    }
}
