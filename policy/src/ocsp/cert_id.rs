//! Which certificate is meant.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use der::Encode;

use super::OcspError;
use crate::key::PublicKey;
use crate::serial::Serial;
use crate::tbs::Issuer;
use crate::tlv;

/// CertID, RFC 6960 section 4.1.1, as it was encoded: the answer repeats it to the octet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertId {
    der: Vec<u8>,
    hash: Option<HashAlgorithm>,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

/// How a CertID hashes the issuer. SHA-1 names here, it protects nothing; RFC 5019 demands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// 1.3.14.3.2.26
    Sha1,
    /// 2.16.840.1.101.3.4.2.1
    Sha256,
    /// 2.16.840.1.101.3.4.2.3
    Sha512,
}

impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    fn oid(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0x2b, 14, 3, 2, 26],
            Self::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
            Self::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm: &'static Algorithm = match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
            Self::Sha512 => &SHA512,
        };
        digest(algorithm, bytes).as_ref().to_vec()
    }
}

impl CertId {
    /// Longest serial number that is read, in octets: RFC 5280 allows 20, and old CAs took more.
    const MAX_SERIAL: usize = 64;

    /// Names a certificate of `issuer`.
    pub fn new(hash: HashAlgorithm, issuer: &Issuer, serial: Serial) -> Self {
        let (name_hash, key_hash) = hashes(hash, issuer);
        let serial = serial.der_octets().to_vec();
        let mut der = Vec::new();
        tlv::nested(&mut der, tlv::SEQUENCE, |out| {
            tlv::nested(out, tlv::SEQUENCE, |out| {
                tlv::element(out, tlv::OBJECT_IDENTIFIER, hash.oid());
                tlv::element(out, tlv::NULL, &[]);
            });
            tlv::element(out, tlv::OCTET_STRING, &name_hash);
            tlv::element(out, tlv::OCTET_STRING, &key_hash);
            tlv::element(out, tlv::INTEGER, &serial);
        });
        Self { der, hash: Some(hash), name_hash, key_hash, serial }
    }

    /// Takes the contents of the SEQUENCE apart.
    pub(super) fn read(contents: &[u8]) -> Result<Self, OcspError> {
        Self::take_apart(contents).ok_or(OcspError::Der("a CertID does not decode"))
    }

    fn take_apart(contents: &[u8]) -> Option<Self> {
        let (tlv::SEQUENCE, algorithm, rest) = tlv::split(contents)? else { return None };
        let (tlv::OBJECT_IDENTIFIER, oid, parameters) = tlv::split(algorithm)? else { return None };
        // RFC 5754 section 2: NULL or nothing.
        if !matches!(parameters, [] | [tlv::NULL, 0]) {
            return None;
        }
        let (tlv::OCTET_STRING, name_hash, rest) = tlv::split(rest)? else { return None };
        let (tlv::OCTET_STRING, key_hash, rest) = tlv::split(rest)? else { return None };
        let (tlv::INTEGER, serial, []) = tlv::split(rest)? else { return None };
        if !(1..=Self::MAX_SERIAL).contains(&serial.len()) {
            return None;
        }
        let mut der = Vec::new();
        tlv::element(&mut der, tlv::SEQUENCE, contents);
        Some(Self {
            der,
            hash: HashAlgorithm::ALL.into_iter().find(|hash| hash.oid() == oid),
            name_hash: name_hash.to_vec(),
            key_hash: key_hash.to_vec(),
            serial: serial.to_vec(),
        })
    }

    /// The DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// How it hashes the issuer, if that is known here.
    pub fn hash(&self) -> Option<HashAlgorithm> {
        self.hash
    }

    /// Whether it names a certificate of `issuer`.
    pub fn is_of(&self, issuer: &Issuer) -> bool {
        self.hash.is_some_and(|hash| hashes(hash, issuer) == (self.name_hash.clone(), self.key_hash.clone()))
    }

    /// The serial number, if it is one that Signet could have given.
    pub fn serial(&self) -> Option<Serial> {
        Serial::from_slice(&self.serial).ok()
    }

    /// The octets of the serial number.
    pub fn serial_octets(&self) -> &[u8] {
        &self.serial
    }
}

/// issuerNameHash and issuerKeyHash.
fn hashes(hash: HashAlgorithm, issuer: &Issuer) -> (Vec<u8>, Vec<u8>) {
    let name = issuer.subject().to_der().expect("it was decoded from DER");
    (hash.hash(&name), hash.hash(issuer.key().bit_string()))
}

/// How a responder with this key names itself in its answers: KeyHash, SHA-1 of the key's BIT STRING
/// (RFC 6960 section 4.2.1).
pub fn responder_id(key: &PublicKey) -> [u8; 20] {
    let mut id = [0; 20];
    id.copy_from_slice(&HashAlgorithm::Sha1.hash(key.bit_string()));
    id
}
