//! The authorization record: who asked for a certificate, and how each name was proved.
//!
//! `signetd` writes it, the signer demands it, checks it against the bytes, and journals it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::effects::UnixTime;
use crate::name::Name;
use crate::serial::Serial;

/// Why one certificate may be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRecord {
    /// Who asked: `acme:<account id>`, `admin:<fingerprint>`, `console`.
    pub actor: String,
    /// The request id that the logs of `signetd` carry.
    pub request_id: String,
    /// What this certificate completes, if anything: an ACME order, a request that was approved, or a
    /// call that its caller may repeat.
    pub order: Option<String>,
    /// One proof per name, exactly the names in the certificate (I1).
    pub names: Vec<NameEvidence>,
    /// Who vouches for a common name that is none of the names, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Method>,
    /// The certificate that this one renews, which [`Method::Renewal`] rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Serial>,
    /// Common name of the registered node that it is for, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Who asked, if the actor approved what somebody else had asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
}

/// How one name was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEvidence {
    /// The name as it stands in the certificate, wildcard label included.
    pub name: Name,
    /// How control of it was shown.
    pub method: Method,
    /// When.
    pub at: UnixTime,
    /// Version of the validator's code, so that "which certificates depend on it" is one query (I2).
    pub validator: String,
    /// What the validator saw, if it looked at the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Observation>,
    /// The CAA check (RFC 8659) that the name passed, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<CaaCheck>,
}

/// What a validator saw when control was shown. Texts are cut to [`MAX_SEEN`] octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The address and port that answered, if one was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What DNS answered: the addresses, or the record that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
}

/// A CAA check that allowed the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaaCheck {
    /// When.
    pub at: UnixTime,
    /// The record set that decided, or that there was none; cut to [`MAX_SEEN`] octets.
    pub found: String,
}

/// Longest text of an [`Observation`] or a [`CaaCheck`], in octets: with a hundred names the record
/// still fits an entry of the journal.
pub const MAX_SEEN: usize = 128;

/// How control of a name was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Method {
    /// An administrator vouched for it.
    #[serde(rename = "administrator")]
    Administrator,
    /// CertMaker's dns-01: a TXT record that holds the token itself. No ACME method, so its name begins
    /// as RFC 8657 section 4 demands.
    #[serde(rename = "ca-certmaker-dns-01")]
    CertMakerDns01,
    /// CertMaker's http-01: a file that holds the token itself.
    #[serde(rename = "ca-certmaker-http-01")]
    CertMakerHttp01,
    /// The operator on the console vouched for it.
    #[serde(rename = "console")]
    Console,
    /// draft-ietf-acme-dns-account-label-03
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// RFC 8555 section 8.4
    #[serde(rename = "dns-01")]
    Dns01,
    /// draft-ietf-acme-dns-persist-00
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
    /// RFC 8555 section 8.3
    #[serde(rename = "http-01")]
    Http01,
    /// Nothing was shown, nor need be: the name means the same to every host, itself.
    #[serde(rename = "loopback")]
    Loopback,
    /// An administrator registered it before for somebody, who showed to be that one.
    #[serde(rename = "registration")]
    Registration,
    /// Somebody showed to hold the key of a certificate of this CA for exactly these names, neither
    /// expired nor revoked.
    #[serde(rename = "renewal")]
    Renewal,
    /// RFC 8737
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// It was not: anybody who asks gets a certificate. For closed networks and systems that know no
    /// better.
    #[serde(rename = "unproven")]
    Unproven,
}

/// Every method, in the order of their names.
pub const METHODS: [Method; 13] = [
    Method::Administrator,
    Method::CertMakerDns01,
    Method::CertMakerHttp01,
    Method::Console,
    Method::Dns01,
    Method::DnsAccount01,
    Method::DnsPersist01,
    Method::Http01,
    Method::Loopback,
    Method::Registration,
    Method::Renewal,
    Method::TlsAlpn01,
    Method::Unproven,
];

/// The methods that are ACME challenges.
const CHALLENGES: [Method; 5] =
    [Method::DnsAccount01, Method::Dns01, Method::DnsPersist01, Method::Http01, Method::TlsAlpn01];

/// Oldest CAA check with which a certificate may be issued, in seconds: eight hours, BR 4.2.2.1.
pub const MAX_CAA_AGE: u64 = 8 * 3600;

/// Oldest proof that the signer accepts, in seconds: 398 days, BR 4.2.1.
pub const MAX_EVIDENCE_AGE: u64 = 398 * 86_400;

/// The text names no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a method is one of {}", METHODS.map(Method::as_str).join(", "))]
pub struct MethodError;

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, MethodError> {
        METHODS.into_iter().find(|method| method.as_str() == text).ok_or(MethodError)
    }
}

impl Method {
    /// The method's name as it stands in profiles, records and ACME objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::CertMakerDns01 => "ca-certmaker-dns-01",
            Self::CertMakerHttp01 => "ca-certmaker-http-01",
            Self::Console => "console",
            Self::DnsAccount01 => "dns-account-01",
            Self::Dns01 => "dns-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Http01 => "http-01",
            Self::Loopback => "loopback",
            Self::Registration => "registration",
            Self::Renewal => "renewal",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Unproven => "unproven",
        }
    }

    /// The ACME challenge of that name.
    pub fn of_challenge(name: &str) -> Option<Self> {
        CHALLENGES.into_iter().find(|method| method.as_str() == name)
    }

    /// Whether it is an ACME challenge, and no person's word.
    pub fn is_challenge(self) -> bool {
        CHALLENGES.contains(&self)
    }

    /// Whether a validator saw it on the network: an ACME challenge, or one of CertMaker's.
    pub fn is_seen(self) -> bool {
        self.is_challenge() || matches!(self, Self::CertMakerDns01 | Self::CertMakerHttp01)
    }

    /// Whether it asks DNS for a record of the name itself: an address has none.
    pub fn is_dns(self) -> bool {
        matches!(self, Self::CertMakerDns01 | Self::DnsAccount01 | Self::Dns01 | Self::DnsPersist01)
    }

    /// Whether it can show control of every name below a base: a connection to one host cannot.
    pub fn proves_wildcards(self) -> bool {
        match self {
            Self::Administrator
            | Self::CertMakerDns01
            | Self::Console
            | Self::DnsAccount01
            | Self::Dns01
            | Self::DnsPersist01
            | Self::Registration
            | Self::Renewal => true,
            Self::CertMakerHttp01 | Self::Http01 | Self::Loopback | Self::TlsAlpn01 | Self::Unproven => false,
        }
    }
}
