//! Kinds of keys that can be made, by the names that people write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::KeyAlgorithm;

/// A kind of key that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519, RFC 8410
    Ed25519,
    /// NIST P-256
    P256,
    /// NIST P-384
    P384,
    /// RSA with a modulus of 2048 bits
    Rsa2048,
    /// RSA with a modulus of 3072 bits
    Rsa3072,
    /// RSA with a modulus of 4096 bits
    Rsa4096,
}

/// The text names no kind of key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key can be {}", KeyKind::ALL.map(KeyKind::as_str).join(", "))]
pub struct KeyKindError;

impl KeyKind {
    /// Every kind, in the order of their names.
    pub const ALL: [Self; 6] = [Self::Ed25519, Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// Modulus or curve size in bits.
    pub fn bits(self) -> u16 {
        match self {
            Self::Ed25519 | Self::P256 => 256,
            Self::P384 => 384,
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Its algorithm.
    pub fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Ed25519 => KeyAlgorithm::Ed25519,
            Self::P256 => KeyAlgorithm::P256,
            Self::P384 => KeyAlgorithm::P384,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyAlgorithm::Rsa,
        }
    }
}

impl FromStr for KeyKind {
    type Err = KeyKindError;

    fn from_str(text: &str) -> Result<Self, KeyKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(KeyKindError)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for KeyKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
