//! Authorities: what the journal says of one, whole, in each entry about it. The last entry counts.

use policy::authority::{AuthorityNumber, Kind, Subject};
use policy::effects::UnixTime;
use policy::key::KeyKind;
use policy::name::DnsName;
use serde::{Deserialize, Serialize};

/// An issuing CA that was made while the appliance ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its number, which its keys' labels have.
    pub number: AuthorityNumber,
    /// The profile by which it was made.
    pub profile: String,
    /// Where its certificate comes from.
    pub kind: Kind,
    /// What its key is.
    pub key: KeyKind,
    /// Its subject.
    pub subject: Subject,
    /// Subject alternative names of its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<DnsName>,
    /// Last second of its certificate, if it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UnixTime>,
    /// What it may do.
    pub standing: Standing,
    /// The SubjectPublicKeyInfo of its key; empty as long as it is planned.
    #[serde(with = "super::base64_bytes")]
    pub spki: Vec<u8>,
    /// The same of the key that signs its OCSP answers.
    #[serde(with = "super::base64_bytes")]
    pub responder: Vec<u8>,
    /// The CSR (RFC 2986) for another CA, DER; empty as long as it is planned.
    #[serde(with = "super::base64_bytes")]
    pub csr: Vec<u8>,
    /// Its certificate, and those above it as far as they are known, DER; empty before it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Der>,
}

/// A certificate, DER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "super::base64_bytes")] pub Vec<u8>);

/// What an authority may do. CRLs and OCSP answers are signed by every one that has a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It signs no certificates until somebody enables it.
    Disabled,
    /// It signs certificates.
    Enabled,
    /// It has a key, and waits for its certificate.
    Pending,
    /// It is to be made, or was interrupted when it was: whoever asks for the same again completes it.
    Planned,
    /// It never signs a certificate again.
    Retired,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Disabled, Self::Enabled, Self::Pending, Self::Planned, Self::Retired];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Pending => "pending",
            Self::Planned => "planned",
            Self::Retired => "retired",
        }
    }
}

/// Why an entry about an authority was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityStep {
    /// Nothing happened: a new segment begins, and repeats what is known.
    Carried,
    /// It got its certificate, or another chain of certificates.
    Certified,
    /// It was disabled.
    Disabled,
    /// It was enabled.
    Enabled,
    /// Its keys were made.
    Keyed,
    /// It is to be made.
    Planned,
    /// It was retired.
    Retired,
}
