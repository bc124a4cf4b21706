//! What a profile says of its certificates, for those who show it in words of their own.

use super::{ExtendedUsage, KeyUsage, Pattern, Profile};
use crate::key::{KeyAlgorithm, KeyKind};

impl Profile {
    /// Keys that it takes.
    pub fn key_algorithms(&self) -> &[KeyAlgorithm] {
        &self.algorithms
    }

    /// Sizes of RSA keys that it takes; none without RSA.
    pub fn rsa_bits(&self) -> &[u16] {
        &self.rsa_bits
    }

    /// The kind of key that is made when nobody chooses: the cheapest that it takes.
    pub fn cheapest_key(&self) -> KeyKind {
        let takes = |algorithm| self.algorithms.contains(&algorithm);
        match self.rsa_bits.iter().min() {
            _ if takes(KeyAlgorithm::P256) => KeyKind::P256,
            _ if takes(KeyAlgorithm::P384) => KeyKind::P384,
            Some(4096) => KeyKind::Rsa4096,
            Some(3072) => KeyKind::Rsa3072,
            Some(_) => KeyKind::Rsa2048,
            None => KeyKind::Ed25519,
        }
    }

    /// How long its certificates last, in seconds.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Names that it permits, before those that it excludes.
    pub fn permitted(&self) -> &[Pattern] {
        &self.permitted
    }

    /// The key usages of its certificates (RFC 5280 section 4.2.1.3); keyEncipherment for RSA keys only.
    pub fn key_usage_names(&self) -> Vec<&'static str> {
        let name = |usage: &KeyUsage| match usage {
            KeyUsage::DigitalSignature => "digitalSignature",
            KeyUsage::KeyEncipherment => "keyEncipherment",
        };
        self.key_usage.iter().map(name).collect()
    }

    /// The extended key usages of its certificates (RFC 5280 section 4.2.1.12).
    pub fn extended_usage_names(&self) -> Vec<&'static str> {
        let name = |usage: &ExtendedUsage| match usage {
            ExtendedUsage::ClientAuth => "clientAuth",
            ExtendedUsage::ServerAuth => "serverAuth",
        };
        self.extended_usage.iter().map(name).collect()
    }
}
