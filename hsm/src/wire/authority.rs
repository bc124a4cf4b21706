//! What can be asked of and for an authority.

use policy::authority::{AuthorityNumber, Kind, Subject};
use policy::effects::UnixTime;
use policy::key::KeyKind;
use policy::name::DnsName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Actor, short};

/// One deed to one authority. It is journalled before it takes effect, with whoever acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRequest {
    /// Which. A new one has the number after the last.
    pub number: AuthorityNumber,
    /// What is done.
    pub deed: AuthorityDeed,
    /// Who asks.
    pub actor: Actor,
}

/// What is done to an authority. Done already, it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorityDeed {
    /// It is made: its keys in the token, and its CSR or its self-signed certificate.
    Create(Plan),
    /// Another CA of this signer signs its certificate.
    Certify {
        /// Label of that one's key.
        #[serde(deserialize_with = "short")]
        by: String,
    },
    /// It gets the certificate that another CA signed, and those above it.
    Adopt {
        /// DER, its own first, each signed by the next; at most [`MAX_CHAIN`], together at most
        /// [`MAX_CHAIN_LEN`] octets.
        #[serde(deserialize_with = "bounded")]
        chain: Vec<Vec<u8>>,
    },
    /// It signs no certificates until somebody enables it.
    Disable,
    /// It signs certificates again.
    Enable,
    /// It never signs a certificate again; its CRLs and OCSP answers go on.
    Retire,
}

/// What an authority is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The profile that allows it.
    #[serde(deserialize_with = "short")]
    pub profile: String,
    /// Where its certificate comes from.
    pub kind: Kind,
    /// What its key is.
    pub key: KeyKind,
    /// Its subject.
    pub subject: Subject,
    /// Subject alternative names; at most [`MAX_NAMES`].
    #[serde(deserialize_with = "few")]
    pub names: Vec<DnsName>,
    /// Last second of its certificate, if it is chosen.
    pub not_after: Option<UnixTime>,
}

/// Most certificates in a chain.
pub const MAX_CHAIN: usize = 8;

/// Most octets of a chain: in base64 it fits a line of the journal with what stands beside it.
pub const MAX_CHAIN_LEN: usize = 32 * 1024;

/// Most subject alternative names of an authority.
pub const MAX_NAMES: usize = 16;

fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let chain = Vec::<Vec<u8>>::deserialize(deserializer)?;
    let octets: usize = chain.iter().map(Vec::len).sum();
    match (1..=MAX_CHAIN).contains(&chain.len()) && octets <= MAX_CHAIN_LEN {
        true => Ok(chain),
        false => Err(D::Error::custom("the chain is empty or too long")),
    }
}

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DnsName>, D::Error> {
    let names = Vec::<DnsName>::deserialize(deserializer)?;
    if names.len() <= MAX_NAMES { Ok(names) } else { Err(D::Error::custom("there are too many names")) }
}
