//! Secrets that the daemon keeps: encrypted under a key of the CA's token, so that the store holds none
//! that opens while the CA is sealed, nor any that opens elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
pub use hsm::wire::MAX_SECRET;
use hsm::wire::{Actor, Plain, Refusal};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::Services;
use crate::issuance::ca::{CaError, ClientError};

/// What a secret is and whose. The box of one opens as no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// The MAC key of the external account key of that id.
    EabKey(&'a str),
}

/// A secret in memory: wiped when dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

/// The box of a secret, for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boxed(Vec<u8>);

impl Services {
    /// Encrypts a secret of at most [`MAX_SECRET`] octets, unless the CA is sealed.
    pub async fn encrypt(&self, label: Label<'_>, secret: Secret, actor: Actor) -> Result<Boxed, CaError> {
        self.ca.encrypt(label.to_string(), Plain(secret.0), actor).await.map(Boxed)
    }

    /// Opens the box that [`Services::encrypt`] made under the same label, unless the CA is sealed. A box
    /// that was changed or exchanged is [`CaError::Faulted`].
    pub async fn decrypt(&self, label: Label<'_>, boxed: &Boxed) -> Result<Secret, CaError> {
        match self.ca.decrypt(label.to_string(), boxed.0.clone()).await {
            Ok(Plain(secret)) => Ok(Secret(secret)),
            Err(CaError::Signer(ClientError::Refused(Refusal::Policy(why)))) => {
                Err(CaError::Faulted(format!("{label}: {why}")))
            }
            Err(error) => Err(error),
        }
    }
}

impl Secret {
    /// Takes octets over.
    pub fn new(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The octets, taken over.
    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// What the token authenticates with the box: it is stored nowhere, and must stay the same for ever.
impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EabKey(id) => write!(f, "eab-key/{id}"),
        }
    }
}

/// As base64.
impl Serialize for Boxed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Boxed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = STANDARD_NO_PAD.decode(String::deserialize(deserializer)?);
        octets.map(Self).map_err(|_| de::Error::custom("a box in base64"))
    }
}
