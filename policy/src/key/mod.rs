//! Public keys: parsed, checked for weakness, and used to verify.

mod hashed;
mod kind;
mod weak;

pub use hashed::{Hashed, Hasher, TooLong};
pub use kind::{KeyKind, KeyKindError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Encode, Sequence};
use serde::{Deserialize, Serialize};
use spki::SubjectPublicKeyInfoRef;

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
        // The longest sound key, RSA-4096 with a long exponent, stays well below this.
        const MAX_LEN: usize = 1024;
        if der.len() > MAX_LEN {
            return Err(KeyError::Malformed);
        }
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        let algorithm = spki.algorithm;
        let key = spki.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
        let (algorithm, bits) = match algorithm.oid {
            RSA_ENCRYPTION => (KeyAlgorithm::Rsa, rsa_bits(algorithm.parameters, key)?),
            ID_EC_PUBLIC_KEY => check_curve(algorithm.parameters, key)?,
            ID_ED_25519 => (KeyAlgorithm::Ed25519, edwards_bits(algorithm.parameters, key)?),
            _ => return Err(KeyError::UnknownAlgorithm),
        };
        let canonical = spki.to_der().map_err(|_| KeyError::Malformed)?;
        Ok(Self { algorithm, bits, spki: canonical })
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
        sha256(&self.spki)
    }

    /// Key identifier: the leftmost 160 bits of the SHA-256 of the public key's BIT STRING
    /// (RFC 7093 section 2, method 1).
    pub fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.copy_from_slice(&sha256(self.bit_string())[..20]);
        identifier
    }

    /// Verifies `signature` over `message`. ECDSA signatures are in DER form (Ecdsa-Sig-Value).
    pub fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_with(self.algorithm_for(scheme)?, message, signature)
    }

    /// How signatures of this scheme verify with this key, if they can.
    fn algorithm_for(&self, scheme: SignatureScheme) -> Result<&'static dyn VerificationAlgorithm, BadSignature> {
        Ok(match (self.algorithm, scheme) {
            (KeyAlgorithm::Ed25519, SignatureScheme::Ed25519) => &ED25519,
            (KeyAlgorithm::P256, SignatureScheme::EcdsaP256Sha256) => &ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::P384, SignatureScheme::EcdsaP384Sha384) => &ECDSA_P384_SHA384_ASN1,
            (KeyAlgorithm::Rsa, SignatureScheme::RsaPkcs1Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa, SignatureScheme::RsaPssSha256) => &RSA_PSS_2048_8192_SHA256,
            _ => return Err(BadSignature),
        })
    }

    /// Verifies with an algorithm that fits the key.
    pub(crate) fn verify_with(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(algorithm, self.bit_string()).verify(message, signature).map_err(|_| BadSignature)
    }

    /// The octets of the subjectPublicKey BIT STRING.
    pub(crate) fn bit_string(&self) -> &[u8] {
        SubjectPublicKeyInfoRef::from_der(&self.spki)
            .ok()
            .and_then(|spki| spki.subject_public_key.as_bytes())
            .expect("the constructor encoded these bytes itself")
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

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// RSAPublicKey, RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// Checks an RSA key, whose parameters must be NULL (RFC 3279 section 2.3.1); gives its size.
fn rsa_bits(parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<u16, KeyError> {
    if !parameters.is_some_and(AnyRef::is_null) {
        return Err(KeyError::Weak("the parameters of an RSA key must be NULL"));
    }
    let key = RsaPublicKey::from_der(key).map_err(|_| KeyError::Malformed)?;
    match weak::rsa(key.modulus.as_bytes(), key.exponent.as_bytes()) {
        Some(why) => Err(KeyError::Weak(why)),
        // No weakness, so the modulus is at most 512 octets long and its top bit is set.
        None => u16::try_from(key.modulus.as_bytes().len() * 8).map_err(|_| KeyError::Malformed),
    }
}

/// Checks a key on a named curve (RFC 5480 section 2.1.1); gives the curve and its size.
fn check_curve(parameters: Option<AnyRef<'_>>, point: &[u8]) -> Result<(KeyAlgorithm, u16), KeyError> {
    let curve = parameters.and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
    let (algorithm, bits, scheme): (_, u16, &'static dyn VerificationAlgorithm) = match curve {
        Some(SECP_256_R_1) => (KeyAlgorithm::P256, 256, &ECDSA_P256_SHA256_ASN1),
        Some(SECP_384_R_1) => (KeyAlgorithm::P384, 384, &ECDSA_P384_SHA384_ASN1),
        Some(_) => return Err(KeyError::UnknownAlgorithm),
        None => return Err(KeyError::Weak("an EC key names its curve; explicit or missing parameters are refused")),
    };
    let length = usize::from(bits / 8);
    match point {
        [4, coordinates @ ..] if coordinates.len() == 2 * length => {}
        [2 | 3, ..] => return Err(KeyError::Weak("write the EC point uncompressed")),
        [0] => return Err(KeyError::Weak("the EC point is the point at infinity")),
        _ => return Err(KeyError::Malformed),
    }
    // Parsing checks that both coordinates are below p and that the point is on the curve; its
    // order is then right, because both curves have cofactor 1.
    ParsedPublicKey::new(scheme, point).map_err(|_| KeyError::Weak("the EC point is not on its curve"))?;
    Ok((algorithm, bits))
}

/// Checks an Ed25519 key, which has no parameters (RFC 8410 section 3); gives its size.
fn edwards_bits(parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<u16, KeyError> {
    if parameters.is_some() {
        return Err(KeyError::Weak("an Ed25519 key has no parameters"));
    }
    let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::Weak("an Ed25519 key has 32 octets"))?;
    if weak::is_sound_edwards_point(key) {
        Ok(256)
    } else {
        Err(KeyError::Weak("the Ed25519 key is no point of the curve or of small order"))
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::Any;
    use proptest::prelude::*;
    use spki::AlgorithmIdentifierOwned;

    use super::*;
    use crate::testing::{KeyPair, spki};

    const ALGORITHMS: [KeyAlgorithm; 4] =
        [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa];

    fn weakness(der: &[u8]) -> &'static str {
        match PublicKey::from_spki(der) {
            Err(KeyError::Weak(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn curve(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned { oid: ID_EC_PUBLIC_KEY, parameters: Some(Any::from(oid)) }
    }

    #[test]
    fn keys_of_every_kind_are_read_and_verify() {
        for (algorithm, bits) in ALGORITHMS.into_iter().zip([256, 256, 384, 2048]) {
            let pair = KeyPair::generate(algorithm);
            let key = pair.public();
            assert_eq!((key.algorithm(), key.bits()), (algorithm, bits));
            assert_eq!(key.spki(), pair.spki());
            let scheme = key.certificate_scheme();
            let signature = pair.sign(scheme, b"message");
            assert_eq!(key.verify(scheme, b"message", &signature), Ok(()));
            assert_eq!(key.verify(scheme, b"massage", &signature), Err(BadSignature));
            assert_eq!(key.verify(scheme, b"message", &signature[1..]), Err(BadSignature));
            let other = KeyPair::generate(algorithm).public();
            assert_eq!(other.verify(scheme, b"message", &signature), Err(BadSignature));
        }
    }

    #[test]
    fn rsa_also_verifies_pss_and_no_key_another_scheme() {
        let pair = KeyPair::generate(KeyAlgorithm::Rsa);
        let signature = pair.sign(SignatureScheme::RsaPssSha256, b"message");
        assert_eq!(pair.public().verify(SignatureScheme::RsaPssSha256, b"message", &signature), Ok(()));
        assert_eq!(pair.public().verify(SignatureScheme::RsaPkcs1Sha256, b"message", &signature), Err(BadSignature));
        assert_eq!(pair.public().verify(SignatureScheme::Ed25519, b"message", &signature), Err(BadSignature));
    }

    #[test]
    fn identifiers_are_those_of_the_standards() {
        let pair = KeyPair::generate(KeyAlgorithm::P256);
        let (key, der) = (pair.public(), pair.spki());
        // The BIT STRING's octets are the last 65 of a P-256 key.
        assert_eq!(key.key_identifier(), sha256(&der[der.len() - 65..])[..20]);
        assert_eq!(key.spki_sha256(), sha256(&der));
    }

    #[test]
    fn points_that_are_compressed_infinite_or_off_the_curve_are_refused() {
        let pair = KeyPair::generate(KeyAlgorithm::P256);
        let der = pair.spki();
        let point = &der[der.len() - 65..];
        let mut compressed = point[..33].to_vec();
        compressed[0] = 2 + (point[64] & 1);
        assert!(weakness(&spki(curve(SECP_256_R_1), &compressed)).contains("uncompressed"));
        assert!(weakness(&spki(curve(SECP_256_R_1), &[0])).contains("infinity"));
        let mut off = point.to_vec();
        off[64] ^= 1;
        assert!(weakness(&spki(curve(SECP_256_R_1), &off)).contains("not on its curve"));
        let mut zero = [0; 65];
        zero[0] = 4;
        assert!(weakness(&spki(curve(SECP_256_R_1), &zero)).contains("not on its curve"));
        // A coordinate above p: invalid-curve attacks begin with such carelessness.
        let mut large = point.to_vec();
        large[1..33].fill(0xff);
        assert!(weakness(&spki(curve(SECP_256_R_1), &large)).contains("not on its curve"));
        assert_eq!(PublicKey::from_spki(&spki(curve(SECP_384_R_1), point)), Err(KeyError::Malformed));
        // A hybrid point (X9.62) is neither of the two forms of RFC 5480.
        let mut hybrid = point.to_vec();
        hybrid[0] = 6 + (point[64] & 1);
        assert_eq!(PublicKey::from_spki(&spki(curve(SECP_256_R_1), &hybrid)), Err(KeyError::Malformed));
    }

    #[test]
    fn bad_parameters_are_refused() {
        let pair = KeyPair::generate(KeyAlgorithm::P256);
        let der = pair.spki();
        let point = &der[der.len() - 65..];
        for parameters in [None, Some(Any::null()), Some(Any::new(der::Tag::Sequence, [2, 1, 1]).unwrap())] {
            let explicit = AlgorithmIdentifierOwned { oid: ID_EC_PUBLIC_KEY, parameters };
            assert!(weakness(&spki(explicit, point)).contains("names its curve"));
        }
        let secp256k1 = curve("1.3.132.0.10".parse().unwrap());
        assert_eq!(PublicKey::from_spki(&spki(secp256k1, point)), Err(KeyError::UnknownAlgorithm));
        let missing = AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: None };
        assert!(weakness(&spki(missing, &[0x30, 0])).contains("NULL"));
        let superfluous = AlgorithmIdentifierOwned { oid: ID_ED_25519, parameters: Some(Any::null()) };
        assert!(weakness(&spki(superfluous, &[1; 32])).contains("no parameters"));
        let edwards = AlgorithmIdentifierOwned { oid: ID_ED_25519, parameters: None };
        assert!(weakness(&spki(edwards.clone(), &[1; 31])).contains("32 octets"));
        assert!(weakness(&spki(edwards, &[0; 32])).contains("small order"));
        let dsa = AlgorithmIdentifierOwned { oid: "1.2.840.10040.4.1".parse().unwrap(), parameters: None };
        assert_eq!(PublicKey::from_spki(&spki(dsa, &[1])), Err(KeyError::UnknownAlgorithm));
    }

    #[test]
    fn weak_rsa_keys_are_refused_by_name() {
        let rsa = AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::null()) };
        let modulus = [0xffu8; 128];
        let key =
            RsaPublicKey { modulus: UintRef::new(&modulus).unwrap(), exponent: UintRef::new(&[1, 0, 1]).unwrap() };
        assert!(weakness(&spki(rsa.clone(), &key.to_der().unwrap())).contains("2048"));
        assert_eq!(PublicKey::from_spki(&spki(rsa, b"\x30\x03\x02\x01\x05")), Err(KeyError::Malformed));
    }

    #[test]
    fn trailing_and_missing_bytes_are_refused() {
        let mut der = KeyPair::generate(KeyAlgorithm::P256).spki();
        der.push(0);
        assert_eq!(PublicKey::from_spki(&der), Err(KeyError::Malformed));
        der.truncate(der.len() - 2);
        assert_eq!(PublicKey::from_spki(&der), Err(KeyError::Malformed));
        assert_eq!(PublicKey::from_spki(&[0x30; 2000]), Err(KeyError::Malformed));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKey::from_spki(&bytes);
        }

        #[test]
        fn a_changed_key_never_panics(kind in 0usize..4, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            static KEYS: std::sync::LazyLock<Vec<Vec<u8>>> =
                std::sync::LazyLock::new(|| ALGORITHMS.iter().map(|algorithm| KeyPair::generate(*algorithm).spki()).collect());
            let mut der = KEYS[kind].clone();
            for (at, value) in changes {
                let at = at.index(der.len());
                der[at] = value;
            }
            if let Ok(key) = PublicKey::from_spki(&der) {
                prop_assert_eq!(PublicKey::from_spki(key.spki()), Ok(key.clone()));
                let _ = key.verify(key.certificate_scheme(), b"message", b"signature");
            }
        }
    }
}
