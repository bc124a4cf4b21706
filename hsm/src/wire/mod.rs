//! What `signetd` and a signer say to each other.
//!
//! One SOCK_SEQPACKET packet is one frame: a version octet, then postcard. The decoder is total:
//! any bytes give a message or an error. Requests carry an id that the answer repeats; many may be
//! in flight, and answers come in any order.

mod authority;
mod frame;
mod paper;
mod plain;
#[cfg(test)]
mod tests;

use policy::crl::Scope;
use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::grant::{Grant, TokenGrant};
use policy::key::SignatureScheme;
use policy::registration::{CommonName, Registration};
use policy::rights::Role;
use policy::serial::Serial;
use policy::validity::Requested;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use crate::confine::Measure;
use crate::journal::JournalId;
pub use authority::{AuthorityDeed, AuthorityRequest, MAX_CHAIN, MAX_CHAIN_LEN, MAX_NAMES, Plan};
pub use frame::{FrameError, decode, encode, receive, receive_with, send, send_with};
pub use paper::{Paper, SealedPaper};
pub use plain::Plain;

/// Version of the frame format. A peer that speaks another one is refused with a sentence.
pub const VERSION: u8 = 3;

/// Largest frame in bytes, the version octet included. Neither side sends a larger one, and a larger
/// one that arrives ends the connection. What does not fit (a CRL) travels as a memfd sealed against
/// every change, passed with SCM_RIGHTS beside the frame that says what to read of it.
pub const MAX_FRAME: usize = 128 * 1024;

/// Longest text in octets that a request brings for the journal: who acts, request and order ids.
pub const MAX_TEXT: usize = 256;

/// A request and the id that its answer repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the caller, unique among its requests in flight.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// An answer and the id of its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// What came of it.
    pub result: Result<Response, Refusal>,
}

/// Who acts, as `signetd` names him; it goes to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `admin:<fingerprint>`, `acme:<account>`, `token:<id>`, `console`, `signetd`.
    #[serde(deserialize_with = "short")]
    pub who: String,
    /// The request id that the logs of `signetd` carry.
    #[serde(deserialize_with = "short")]
    pub request_id: String,
}

/// Reads a text of at most [`MAX_TEXT`] octets.
fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() <= MAX_TEXT { Ok(text) } else { Err(D::Error::custom("the text is too long")) }
}

/// Reads texts of at most [`MAX_TEXT`] octets each.
fn short_each<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    match texts.iter().all(|text| text.len() <= MAX_TEXT) {
        true => Ok(texts),
        false => Err(D::Error::custom("a text is too long")),
    }
}

/// What a signer can be asked. The table in `signer::table` says in which seal state, and on which
/// socket, each is legal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Seal state, keys, journal position. Always legal.
    Status,
    /// A single-use challenge to encrypt the PIN to. Sealed only.
    Challenge,
    /// The PIN, encrypted to the signer's key and bound to the challenge. Sealed only.
    Unseal {
        /// The box.
        boxed: UnsealBox,
        /// Who sends it.
        actor: Actor,
    },
    /// Forget the PIN: journal the act, answer, exit. Not while sealed.
    Seal {
        /// Who orders it.
        actor: Actor,
    },
    /// Serial numbers for later [`Request::Certificate`] requests (J6). Unsealed only.
    Reserve {
        /// How many, at most [`MAX_RESERVE`].
        count: u16,
    },
    /// Make an authority, or change one. Unsealed only.
    Authority(Box<AuthorityRequest>),
    /// Sign one leaf certificate. Unsealed only.
    Certificate(Box<CertificateRequest>),
    /// Sign one CRL. Its TBSCertList comes beside the frame, as a [`SealedPaper`]. Unsealed only.
    Crl(CrlRequest),
    /// Sign one TLS handshake with a key whose purpose is `tls`.
    Handshake {
        /// The key's label.
        key: String,
        /// The scheme that was negotiated.
        scheme: SignatureScheme,
        /// The bytes to sign, not hashed.
        message: Vec<u8>,
    },
    /// Sign a statement about another signer's unseal key, with the key whose purpose is
    /// `identity`. Legal on the identity socket only.
    Identify {
        /// See [`crate::seal::statement`].
        statement: Vec<u8>,
    },
    /// Write an administrative act into the journal before it takes effect. Always legal.
    Record {
        /// The act.
        act: Act,
        /// Who acts.
        actor: Actor,
    },
    /// Journal entries after `after`. Always legal, sealed or not (J3).
    Journal {
        /// Sequence number of the last entry that the caller has; 0 for none.
        after: u64,
    },
    /// Open the box of a secret. Unsealed only.
    Decrypt {
        /// What it was encrypted with as its label.
        #[serde(deserialize_with = "short")]
        label: String,
        /// The box.
        boxed: Vec<u8>,
    },
    /// Encrypt a secret under this token's key for secrets, which is made if there is none. Unsealed only.
    Encrypt {
        /// What it is and whose: the box opens under the same label alone.
        #[serde(deserialize_with = "short")]
        label: String,
        /// The secret, at most [`MAX_SECRET`].
        secret: Plain,
        /// Who asks.
        actor: Actor,
    },
    /// Certify an administrator and enrol him: two entries in the journal. Unsealed only.
    Enrol(EnrolmentRequest),
    /// Sign OCSP responses. Unsealed only.
    Ocsp(OcspRequest),
    /// Certify the OCSP key of this token once more: the same certificate with a new serial and a
    /// new validity, signed by the issuing key above it. Unsealed only.
    OcspCertificate {
        /// Label of the OCSP key.
        key: String,
        /// Who asks.
        actor: Actor,
    },
}

/// Largest secret in octets: its box fits one frame.
pub const MAX_SECRET: usize = 64 * 1024;

/// Most serials in one reservation.
pub const MAX_RESERVE: u16 = 256;

/// One leaf certificate to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Label of the issuing key.
    pub issuer: String,
    /// Name of the profile.
    pub profile: String,
    /// SHA-256 of the file that `signetd` read it from: the signer must have read the same.
    pub profile_sha256: [u8; 32],
    /// The common name that the requester asked for, if any.
    pub common_name: Option<String>,
    /// The ends of the validity that the requester asked for.
    pub requested: Requested,
    /// DER of the TBSCertificate; the signer builds it again and compares.
    pub tbs: Vec<u8>,
    /// Why it may be signed.
    #[serde(with = "as_json")]
    pub record: AuthorizationRecord,
}

/// An administrator to be certified and enrolled. His certificate is the role's; nothing of it is the
/// caller's but the name and the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// Label of the issuing key.
    pub issuer: String,
    /// Subject common name.
    #[serde(deserialize_with = "short")]
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// DER of his CSR: his key, and the proof that he holds it.
    pub csr: Vec<u8>,
    /// Who asks.
    pub actor: Actor,
}

/// One CRL to be signed. The signer reads it whole, with every lint, before it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlRequest {
    /// Label of the issuing key.
    pub issuer: String,
    /// What it must say of itself.
    pub scope: Scope,
    /// Where the TBSCertList begins in the paper.
    pub start: u64,
    /// Its octets.
    pub length: u64,
    /// Who asks.
    pub actor: Actor,
}

/// OCSP responses to be signed: one entry in the journal for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OcspRequest {
    /// Label of the OCSP key.
    pub key: String,
    /// ResponseData (RFC 6960 section 4.2.1), DER; at most [`MAX_OCSP`].
    pub responses: Vec<Vec<u8>>,
    /// Who asks.
    pub actor: Actor,
}

/// Most OCSP responses in one request: their signatures, of the largest keys, fit one frame.
pub const MAX_OCSP: usize = 200;

/// An authorization record on the wire: the JSON that the journal will hold. Names are tagged by
/// their type, which a format that does not describe itself cannot read back.
mod as_json {
    use policy::evidence::{AuthorizationRecord, NameEvidence};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    use super::MAX_TEXT;

    /// What `signetd` wrote about one name.
    fn texts(evidence: &NameEvidence) -> impl Iterator<Item = &String> {
        let seen = evidence.seen.iter().flat_map(|seen| seen.address.iter().chain(&seen.dns));
        [&evidence.validator].into_iter().chain(seen).chain(evidence.caa.iter().map(|caa| &caa.found))
    }

    pub(super) fn serialize<S: Serializer>(record: &AuthorizationRecord, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(record).map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AuthorizationRecord, D::Error> {
        let record: AuthorizationRecord =
            serde_json::from_str(<&'de str>::deserialize(deserializer)?).map_err(de::Error::custom)?;
        let is_long = [&record.actor, &record.request_id]
            .into_iter()
            .chain(&record.order)
            .chain(&record.node)
            .chain(record.names.iter().flat_map(texts))
            .any(|text| text.len() > MAX_TEXT);
        if is_long {
            return Err(de::Error::custom("a text of the record is too long"));
        }
        Ok(record)
    }
}

/// Acts of `signetd` that the journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// An issuing CA goes active: what its certificates name was looked at.
    ActivateCa {
        /// Label of the issuing key.
        #[serde(deserialize_with = "short")]
        issuer: String,
        /// Whether it goes active although something failed.
        forced: bool,
        /// What failed, a sentence each; at most [`MAX_FAILURES`].
        #[serde(deserialize_with = "short_each")]
        failures: Vec<String>,
    },
    /// An ACME account is bound to an external account key.
    BindAccount {
        /// Id of the account.
        #[serde(deserialize_with = "short")]
        account: String,
        /// Id of the key.
        #[serde(deserialize_with = "short")]
        key: String,
    },
    /// A request for a certificate is approved.
    ApproveRequest {
        /// Its id.
        #[serde(deserialize_with = "short")]
        request: String,
        /// SHA-256 of what is asked for, hexadecimal.
        #[serde(deserialize_with = "short")]
        digest: String,
        /// Who asked. Not the one who approves.
        #[serde(deserialize_with = "short")]
        requester: String,
    },
    /// An external account key is made.
    CreateEabKey {
        /// Its id.
        #[serde(deserialize_with = "short")]
        key: String,
        /// What it grants.
        grant: Grant,
    },
    /// An API token is made.
    CreateToken {
        /// Its id.
        #[serde(deserialize_with = "short")]
        token: String,
        /// What it grants.
        grant: TokenGrant,
    },
    /// A node is deleted.
    DeleteNode {
        /// Its common name.
        node: CommonName,
    },
    /// An ACME account is ended.
    EndAccount {
        /// Its id.
        #[serde(deserialize_with = "short")]
        account: String,
    },
    /// Certificates are put on hold: revoked with certificateHold, which [`Act::Release`] takes back.
    Hold {
        /// Which, at most [`MAX_SERIALS`].
        serials: Vec<Serial>,
        /// When it takes effect.
        at: UnixTime,
    },
    /// The status of another system's certificates is taken over.
    Import {
        /// Label of the issuing key.
        #[serde(deserialize_with = "short")]
        issuer: String,
        /// SHA-256 of the file, lower-case hexadecimal.
        #[serde(deserialize_with = "short")]
        sha256: String,
        /// How many certificates it names.
        certificates: u64,
    },
    /// A one-time seed is made, with which a node gets its first certificate.
    IssueSeed {
        /// Common name of the node.
        node: CommonName,
        /// SHA-256 of the seed, lower-case hexadecimal.
        #[serde(deserialize_with = "short")]
        seed: String,
        /// Last second in which it is good.
        expires: UnixTime,
    },
    /// A node is registered, or what is registered of it changes.
    RegisterNode {
        /// What is registered.
        registration: Registration,
    },
    /// A request for a certificate is rejected.
    RejectRequest {
        /// Its id.
        #[serde(deserialize_with = "short")]
        request: String,
        /// SHA-256 of what is asked for, hexadecimal.
        #[serde(deserialize_with = "short")]
        digest: String,
        /// Who asked.
        #[serde(deserialize_with = "short")]
        requester: String,
        /// Why.
        #[serde(deserialize_with = "short")]
        why: String,
    },
    /// Certificates on hold are good again.
    Release {
        /// Which, at most [`MAX_SERIALS`].
        serials: Vec<Serial>,
        /// When it takes effect.
        at: UnixTime,
    },
    /// An administrator is removed.
    RemoveAdministrator {
        /// SHA-256 of the certificate, lower-case hexadecimal.
        #[serde(deserialize_with = "short")]
        fingerprint: String,
    },
    /// Certificates are revoked for good, whether they were on hold or not.
    Revoke {
        /// Which, at most [`MAX_SERIALS`].
        serials: Vec<Serial>,
        /// RFC 5280 section 5.3.1 code, not 6; `None` leaves the extension out.
        reason: Option<u8>,
        /// When it takes effect.
        at: UnixTime,
        /// When the key was lost, or the certificate otherwise became invalid, if that is known.
        invalidity_date: Option<UnixTime>,
    },
    /// An external account key is revoked.
    RevokeEabKey {
        /// Its id.
        #[serde(deserialize_with = "short")]
        key: String,
        /// What becomes of the accounts that are bound to it.
        accounts: BoundAccounts,
    },
    /// An administrator gets another role.
    SetRole {
        /// SHA-256 of the certificate, lower-case hexadecimal.
        #[serde(deserialize_with = "short")]
        fingerprint: String,
        /// Which.
        role: Role,
    },
    /// An API token is taken from now on, or not.
    SetToken {
        /// Its id.
        #[serde(deserialize_with = "short")]
        token: String,
        /// How it stands from now on.
        state: TokenState,
    },
    /// A seed is presented: a certificate is asked for with it. If none is signed, it is good again.
    UseSeed {
        /// Common name of the node.
        node: CommonName,
        /// SHA-256 of the seed, lower-case hexadecimal.
        #[serde(deserialize_with = "short")]
        seed: String,
    },
}

/// Most certificates in one act: their serials fit one frame and one line of the journal.
pub const MAX_SERIALS: usize = 1000;

/// Most failures in one [`Act::ActivateCa`].
pub const MAX_FAILURES: usize = 64;

/// What becomes of the accounts that are bound to a key that is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundAccounts {
    /// They are ended with it.
    End,
    /// They stay, within what the key granted.
    Keep,
}

/// How an API token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// Not taken until somebody enables it again.
    Disabled,
    /// Taken.
    Enabled,
    /// Not taken until somebody unlocks it: it was used in a way that nobody wanted.
    Locked,
    /// Never taken again.
    Revoked,
}

/// A PIN on its way to the signer: HPKE (RFC 9180) base mode, DHKEM(X25519, HKDF-SHA256),
/// HKDF-SHA256, ChaCha20-Poly1305; `info` is the statement, `aad` the challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsealBox {
    /// The challenge it answers.
    pub challenge: [u8; 32],
    /// Encapsulated key.
    pub encapsulated: Vec<u8>,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// What a signer answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Challenge`].
    Challenge(Challenge),
    /// To [`Request::Unseal`]: the token took the PIN, every key is there.
    Unsealed,
    /// To [`Request::Seal`]: sent just before the exit.
    Sealing,
    /// To [`Request::Reserve`].
    Reserved(Vec<Serial>),
    /// To [`Request::Encrypt`]: opens with [`Request::Decrypt`] and the same label.
    Box(Vec<u8>),
    /// To [`Request::Certificate`], [`Request::Enrol`] and [`Request::OcspCertificate`]: durably journalled.
    Certificate {
        /// The whole certificate, DER.
        certificate: Vec<u8>,
        /// Its journal entry.
        seq: u64,
    },
    /// To [`Request::Crl`]: durably journalled.
    Crl {
        /// The signature, for [`policy::crl::Envelope`]; ECDSA as DER Ecdsa-Sig-Value.
        signature: Vec<u8>,
        /// Its journal entry.
        seq: u64,
    },
    /// To [`Request::Ocsp`]: durably journalled.
    Ocsp {
        /// One signature for each response, in their order.
        signatures: Vec<Vec<u8>>,
        /// Their journal entry.
        seq: u64,
    },
    /// To [`Request::Handshake`] and [`Request::Identify`]; ECDSA as DER Ecdsa-Sig-Value.
    Signature(Vec<u8>),
    /// To [`Request::Record`] and [`Request::Authority`]: durably journalled.
    Recorded {
        /// Its journal entry.
        seq: u64,
    },
    /// To [`Request::Decrypt`].
    Secret(Plain),
    /// To [`Request::Journal`].
    Journal {
        /// Lines as they stand in the file, in order; empty when there is nothing after `after`.
        lines: Vec<String>,
        /// Sequence number of the journal's last durable entry.
        last: u64,
    },
}

/// A challenge, and the key to encrypt the PIN to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Single-use, void after any attempt, seal or restart.
    pub challenge: [u8; 32],
    /// See [`crate::seal::statement`]: names the journal and holds the HPKE public key.
    pub statement: Vec<u8>,
    /// The appliance identity's SubjectPublicKeyInfo; its SHA-256 is what administrators pinned.
    pub identity_spki: Vec<u8>,
    /// The identity key's signature over the statement.
    pub signature: Vec<u8>,
}

/// How a signer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The signer's name in its configuration (`ca`, `tls`).
    pub name: String,
    /// Program version.
    pub version: String,
    /// Seal state.
    pub seal: SealStatus,
    /// Which journal it writes.
    pub journal: JournalId,
    /// Sequence number of the last durable entry.
    pub last: u64,
    /// Why the journal cannot be written, if it cannot. Signing stops then.
    pub journal_fault: Option<String>,
    /// Wrong PINs that reached the token since the last right one.
    pub wrong_pins: u32,
    /// The keys it serves.
    pub keys: Vec<KeyStatus>,
    /// How many signatures it makes at once.
    pub sessions: u16,
    /// How far what it signs about revocation may reach.
    pub bounds: Bounds,
    /// Since when this process runs.
    pub started: UnixTime,
    /// What the process has given up, and what it could not on this host.
    pub hardening: Vec<Measure>,
    /// The profiles that it goes by.
    pub profiles: Vec<ProfileStatus>,
    /// What the token was asked to sign since the process started.
    pub operations: Vec<Operations>,
    /// Sessions that sign at this moment.
    pub busy: u16,
    /// Requests that wait for one of them.
    pub waiting: u32,
}

/// A profile that a signer has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileStatus {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file, lower-case hexadecimal.
    pub sha256: String,
}

/// Signatures of one key by one mechanism.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// The key's label.
    pub key: String,
    /// The PKCS#11 name of the mechanism.
    pub mechanism: String,
    /// How many failed.
    pub failed: u64,
    /// How many took at most so long, for each of [`LATENCIES`] and for ever; each counts once.
    pub buckets: [u64; LATENCIES.len() + 1],
    /// How long all of them took, in microseconds.
    pub micros: u64,
}

/// Upper ends of the classes in which the time of a signature is counted, in microseconds.
pub const LATENCIES: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_000_000, 10_000_000];

/// How long the validity of what a signer signs about revocation may be, in seconds; its configuration
/// says so, and what would reach farther is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// From thisUpdate to nextUpdate of a CRL.
    pub crl: u64,
    /// From thisUpdate to nextUpdate of an OCSP response.
    pub ocsp: u64,
    /// Length of an OCSP responder's certificate.
    pub responder: u64,
}

/// Seal state as the outside sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SealStatus {
    /// The signer knows no PIN.
    Sealed,
    /// Some of the shares are there.
    Unsealing {
        /// How many are needed.
        threshold: u8,
        /// How many are there.
        received: u8,
    },
    /// Logged in.
    Unsealed,
    /// The token cannot be used; the sentence says why and what to do.
    Faulted {
        /// One sentence.
        why: String,
    },
}

/// One key of a signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its label in the token (CKA_LABEL).
    pub label: String,
    /// What it may sign.
    pub purpose: Purpose,
    /// SubjectPublicKeyInfo, DER; empty until the key was seen or its certificate read.
    pub spki: Vec<u8>,
    /// Its certificate, DER, if one is configured.
    pub certificate: Option<Vec<u8>>,
}

/// What a key may sign, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Journal checkpoints.
    Checkpoint,
    /// Statements about unseal keys.
    Identity,
    /// Certificates and CRLs.
    Issue,
    /// OCSP responses.
    Ocsp,
    /// TLS handshakes.
    Tls,
}

/// Why a request was not done. It ends the request, never the process; an illegal request also
/// ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Too much is waiting; try again.
    #[error("the signer is busy")]
    Busy,
    /// The challenge is unknown or used.
    #[error("the unseal challenge is void: ask for a new one")]
    Challenge,
    /// The request is never legal, or not on this socket.
    #[error("the request is not allowed: {0}")]
    Forbidden(String),
    /// The journal cannot be written, so nothing is signed.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
    /// The token said no to the PIN.
    #[error(
        "the token refused the PIN ({wrong_pins} wrong attempt(s) so far, and many tokens lock after three): make sure of it, then unseal again"
    )]
    Pin {
        /// Wrong attempts since the last right one.
        wrong_pins: u32,
    },
    /// The number of a CRL is not the next one: take one that is greater than `above`, at least the
    /// time, and no greater than both demand ([`policy::crl::number`]).
    #[error(
        "the CRL's number is not the next one: it must be greater than {above}, and no more so than the time demands"
    )]
    Number {
        /// The greatest number that was signed.
        above: u64,
    },
    /// Policy says no; the sentence is for the client.
    #[error("{0}")]
    Policy(String),
    /// `signetd` and the signer have read different files of the profile: one of them is about to be,
    /// or has to be, told to reload.
    #[error(
        "signetd and the signer have read different files of the profile `{0}`: reload both with `systemctl reload signetd`"
    )]
    Profile(String),
    /// The signer knows no PIN.
    #[error("strongbox sealed")]
    Sealed,
    /// The serial was not reserved by this process, or is used.
    #[error("the serial number is not reserved")]
    Serial,
    /// The request does not fit the seal state; somebody was faster.
    #[error("{0}")]
    State(String),
    /// The token failed; the same request may succeed later.
    #[error("the token failed: {0}")]
    Token(String),
}
