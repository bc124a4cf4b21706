//! The signer's journal: append-only, segmented, hash-chained, and the audit log.
//!
//! A line is `<hash> <json>\n`: 64 hexadecimal digits of SHA-256(previous hash ‖ JSON bytes), a
//! space, one [`Entry`]. The first line of a journal follows a hash of 32 zero bytes; the first
//! line of a segment follows the last of the segment before it. So `cut -c66- | jq` reads it, and
//! no tool of ours is needed to check it.
//!
//! The directory holds segments `journal-<sequence number of the first entry, 20 digits>.log`, the
//! file `lock` (a second writer is refused), and `reserve`, space that is given up when the disk is
//! full, so that administrative acts can still be written while signing stands still.
//!
//! [`Writer`] is the file, [`Journal`] the thread in front of it that groups commits, [`verify`] the
//! auditor's check of a copy.

mod announce;
mod authority;
mod commit;
mod memory;
mod numbers;
mod reader;
mod segment;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use authority::{Authority, AuthorityStep, Der, Standing};
pub use commit::Journal;
pub(crate) use numbers::Numbers;
pub use reader::Tail;
pub use verify::{FirstBad, Summary, verify};
pub use writer::{OpenError, WriteError, Writer};

use policy::crl::Scope;
use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::grant::{Grant, TokenGrant};
use policy::registration::{CommonName, Registration};
use policy::rights::Role;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};

use crate::wire::{BoundAccounts, TokenState};

/// Version of the entry format; a newer one is refused with a sentence.
pub const FORMAT: u16 = 1;

/// Largest line in bytes, newline included. A reply with one line fits a frame.
pub const MAX_LINE: usize = 96 * 1024;

/// Names one journal for ever: 16 random bytes, hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalId(pub String);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: UnixTime,
    /// Who acted.
    pub actor: String,
    /// The request id that the logs of `signetd` carry.
    pub request_id: String,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An administrator bound an ACME account to an external account key.
    AccountBound {
        /// Id of the account.
        account: String,
        /// Id of the key.
        key: String,
    },
    /// An administrator ended an ACME account.
    AccountEnded {
        /// Its id.
        account: String,
    },
    /// An administrator was enrolled.
    AdministratorEnrolled {
        /// Subject common name.
        name: String,
        /// SHA-256 of the certificate, lower-case hexadecimal.
        fingerprint: String,
        /// What he may do. Whoever was enrolled before there were roles may do everything.
        #[serde(default)]
        role: Role,
    },
    /// An administrator was removed.
    AdministratorRemoved {
        /// SHA-256 of the certificate, lower-case hexadecimal.
        fingerprint: String,
    },
    /// An administrator got another role.
    AdministratorRoleSet {
        /// SHA-256 of the certificate, lower-case hexadecimal.
        fingerprint: String,
        /// Which.
        role: Role,
    },
    /// Something happened to an authority.
    Authority {
        /// What.
        step: AuthorityStep,
        /// How it is since.
        authority: Box<Authority>,
    },
    /// An issuing CA went active: from then on it signs for others.
    CaActivated {
        /// Label of the issuing key.
        issuer: String,
        /// Whether it did although something failed.
        forced: bool,
        /// What failed when the URLs in its certificates were looked at, a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failures: Vec<String>,
    },
    /// A step of the key ceremony.
    Ceremony {
        /// One line of the transcript.
        step: String,
    },
    /// A certificate was signed and verified; it is not released before this entry is durable (J1).
    Certificate {
        /// DER, base64.
        #[serde(with = "base64_bytes")]
        certificate: Vec<u8>,
        /// The profile's name, or the role for certificates of our own.
        profile: String,
        /// SHA-256 of the profile file, hexadecimal; empty for roles.
        profile_sha256: String,
        /// Label of the issuing key.
        issuer: String,
        /// Why it was signed.
        record: AuthorizationRecord,
    },
    /// Uses of keys that have no entry of their own, since the entry of this kind before.
    Counted {
        /// TLS handshakes.
        handshakes: u64,
        /// Secrets encrypted or decrypted.
        #[serde(default, skip_serializing_if = "is_zero")]
        secrets: u64,
    },
    /// A CRL was signed and verified; its signature is not released before this entry is durable (J1).
    Crl {
        /// Label of the issuing key.
        issuer: String,
        /// Which certificates it speaks of.
        scope: Scope,
        /// Its number.
        number: u64,
        /// For a delta CRL, the number of the complete one that it adds to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
        /// When it was made.
        this_update: UnixTime,
        /// When the next one will be there at the latest.
        next_update: UnixTime,
        /// How many certificates it lists.
        entries: u64,
        /// SHA-256 of its TBSCertList, hexadecimal.
        sha256: String,
    },
    /// An external account key was made.
    EabKeyCreated {
        /// Its id.
        key: String,
        /// What it grants.
        grant: Grant,
    },
    /// An external account key was revoked.
    EabKeyRevoked {
        /// Its id.
        key: String,
        /// What became of the accounts that were bound to it.
        accounts: BoundAccounts,
    },
    /// Certificates were put on hold.
    Held {
        /// Which.
        serials: Vec<Serial>,
        /// When it takes effect.
        at: UnixTime,
    },
    /// The status of another system's certificates was taken over from a file.
    Imported {
        /// Label of the issuing key.
        issuer: String,
        /// SHA-256 of the file, lower-case hexadecimal.
        sha256: String,
        /// How many certificates it names.
        certificates: u64,
    },
    /// A key was made in the token while the signer served: a key for secrets before it is made, a key
    /// pair before anybody sees its public half.
    KeyMade {
        /// Its label, which says what it is for.
        key: String,
        /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal, if it is a key pair.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spki_sha256: Option<String>,
    },
    /// A node was deleted.
    NodeDeleted {
        /// Its common name.
        node: CommonName,
    },
    /// A node was registered, or what was registered of it changed.
    NodeRegistered {
        /// What is registered.
        registration: Registration,
    },
    /// The greatest CRL numbers so far: the first entries of each segment but the first, so that the
    /// last segment knows them.
    Numbers {
        /// By issuer and scope.
        numbers: Vec<CrlNumber>,
    },
    /// OCSP responses were signed and verified; no signature is released before this entry is
    /// durable (J1).
    Ocsp {
        /// Label of the OCSP key.
        key: String,
        /// SHA-256 of each ResponseData, base64 without padding.
        sha256: Vec<String>,
    },
    /// The first entry of a journal.
    Opened {
        /// Its name.
        journal: JournalId,
        /// [`FORMAT`].
        format: u16,
    },
    /// A profile file was read whose digest differs from the last one recorded.
    ProfileLoaded {
        /// Its name.
        profile: String,
        /// SHA-256 of the file, hexadecimal.
        sha256: String,
    },
    /// Certificates on hold became good again.
    Released {
        /// Which.
        serials: Vec<Serial>,
        /// When it takes effect.
        at: UnixTime,
    },
    /// Somebody approved a request for a certificate that somebody else had made.
    RequestApproved {
        /// Its id.
        request: String,
        /// SHA-256 of what was asked for, hexadecimal.
        digest: String,
        /// Who had asked.
        requester: String,
    },
    /// Somebody rejected a request for a certificate.
    RequestRejected {
        /// Its id.
        request: String,
        /// SHA-256 of what was asked for, hexadecimal.
        digest: String,
        /// Who had asked.
        requester: String,
        /// Why.
        why: String,
    },
    /// Certificates were revoked.
    Revoked {
        /// Which.
        serials: Vec<Serial>,
        /// RFC 5280 section 5.3.1 code.
        reason: Option<u8>,
        /// When it takes effect.
        at: UnixTime,
        /// When they became invalid, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invalidity_date: Option<UnixTime>,
    },
    /// The signer was sealed.
    Sealed,
    /// A one-time seed was made, with which a node gets its first certificate.
    SeedIssued {
        /// Common name of the node.
        node: CommonName,
        /// SHA-256 of the seed, lower-case hexadecimal.
        seed: String,
        /// Last second in which it is good.
        expires: UnixTime,
    },
    /// A seed was presented. The certificate that was signed for it, if one was, is an entry of its own.
    SeedUsed {
        /// Common name of the node.
        node: CommonName,
        /// SHA-256 of the seed, lower-case hexadecimal.
        seed: String,
    },
    /// The signer started.
    Started {
        /// Program version.
        version: String,
        /// Whether it came up with the PIN from the descriptor store or a credential.
        unsealed: bool,
    },
    /// An API token was made.
    TokenCreated {
        /// Its id.
        token: String,
        /// What it grants.
        grant: TokenGrant,
    },
    /// An API token was enabled, disabled, locked or revoked.
    TokenSet {
        /// Its id.
        token: String,
        /// How it stands since.
        state: TokenState,
    },
    /// The token refused a PIN.
    UnsealFailed {
        /// One sentence.
        why: String,
    },
    /// An attempt to unseal begins; written before the PIN reaches the token.
    UnsealAttempted,
    /// The signer was unsealed.
    Unsealed,
}

/// The greatest numbers of the CRLs of one issuer and scope. Complete and delta CRLs draw from one
/// sequence, and those that are made together have one number (RFC 5280 section 5.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlNumber {
    /// Label of the issuing key.
    pub issuer: String,
    /// Which certificates they speak of.
    pub scope: Scope,
    /// Of a complete CRL; 0 for none.
    pub complete: u64,
    /// Of a delta CRL; 0 for none.
    pub delta: u64,
}

impl Event {
    /// Every kind, as files name it.
    pub const KINDS: [&'static str; 35] = [
        "account_bound",
        "account_ended",
        "administrator_enrolled",
        "administrator_removed",
        "administrator_role_set",
        "authority",
        "ca_activated",
        "ceremony",
        "certificate",
        "counted",
        "crl",
        "eab_key_created",
        "eab_key_revoked",
        "held",
        "imported",
        "key_made",
        "node_deleted",
        "node_registered",
        "numbers",
        "ocsp",
        "opened",
        "profile_loaded",
        "released",
        "request_approved",
        "request_rejected",
        "revoked",
        "sealed",
        "seed_issued",
        "seed_used",
        "started",
        "token_created",
        "token_set",
        "unseal_attempted",
        "unseal_failed",
        "unsealed",
    ];

    /// Which it is, as files name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AccountBound { .. } => "account_bound",
            Self::AccountEnded { .. } => "account_ended",
            Self::AdministratorEnrolled { .. } => "administrator_enrolled",
            Self::AdministratorRemoved { .. } => "administrator_removed",
            Self::AdministratorRoleSet { .. } => "administrator_role_set",
            Self::Authority { .. } => "authority",
            Self::CaActivated { .. } => "ca_activated",
            Self::Ceremony { .. } => "ceremony",
            Self::Certificate { .. } => "certificate",
            Self::Counted { .. } => "counted",
            Self::Crl { .. } => "crl",
            Self::EabKeyCreated { .. } => "eab_key_created",
            Self::EabKeyRevoked { .. } => "eab_key_revoked",
            Self::Held { .. } => "held",
            Self::Imported { .. } => "imported",
            Self::KeyMade { .. } => "key_made",
            Self::NodeDeleted { .. } => "node_deleted",
            Self::NodeRegistered { .. } => "node_registered",
            Self::Numbers { .. } => "numbers",
            Self::Ocsp { .. } => "ocsp",
            Self::Opened { .. } => "opened",
            Self::ProfileLoaded { .. } => "profile_loaded",
            Self::Released { .. } => "released",
            Self::RequestApproved { .. } => "request_approved",
            Self::RequestRejected { .. } => "request_rejected",
            Self::Revoked { .. } => "revoked",
            Self::Sealed => "sealed",
            Self::SeedIssued { .. } => "seed_issued",
            Self::SeedUsed { .. } => "seed_used",
            Self::Started { .. } => "started",
            Self::TokenCreated { .. } => "token_created",
            Self::TokenSet { .. } => "token_set",
            Self::UnsealAttempted => "unseal_attempted",
            Self::UnsealFailed { .. } => "unseal_failed",
            Self::Unsealed => "unsealed",
        }
    }

    /// What the entry may use of the space that was reserved for a full disk.
    fn claim(&self) -> Claim {
        match self {
            Self::Certificate { profile, .. } if profile == OCSP_RESPONDER => Claim::Half,
            Self::Certificate { .. } | Self::Counted { .. } => Claim::Nothing,
            Self::Crl { .. } | Self::Ocsp { .. } => Claim::Half,
            _ => Claim::All,
        }
    }
}

/// What an entry may use of the space that was reserved for a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Nothing: certificates are not signed, and counts of handshakes wait.
    Nothing,
    /// Half: what tells of revocation goes on, and leaves room for the acts that it tells of.
    Half,
    /// All: acts go on to the end.
    All,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What stands as the profile of an administrator's certificate.
pub(crate) const ADMINISTRATOR: &str = "administrator";

/// What stands as the profile of an OCSP responder's certificate.
pub(crate) const OCSP_RESPONDER: &str = "ocsp-responder";

/// DER in JSON: base64 with padding.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}
