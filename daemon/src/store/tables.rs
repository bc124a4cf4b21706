//! The tables that several rooms share. A room's own tables stand with the room.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest::{SHA256, digest};
use der::{Decode, Encode};
use policy::crl::Scope;
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method};
use policy::name::Name;
use policy::rights::Role;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;

use super::status::{CRLS_NAMED, named_key};
use super::{Change, Table};

/// Every certificate that was signed. Key: serial, 20 octets.
pub const CERTIFICATES: Table<CertificateRecord> = Table::new("certificates");

/// Certificates by name. Key: the name as text, 0x00, serial.
pub const CERTIFICATES_BY_NAME: Table<()> = Table::new("certificates_by_name");

/// Certificates by public key. Key: SHA-256 of the SubjectPublicKeyInfo (32 octets), serial.
pub const CERTIFICATES_BY_SPKI: Table<()> = Table::new("certificates_by_spki");

/// Certificates by what they rest on. Key: a [`Ground`] as text, 0x00, serial.
pub const CERTIFICATES_BY_GROUND: Table<()> = Table::new("certificates_by_ground");

/// Certificates by DNS name from its end, for all names below another. Key: [`reversed`] name, 0x00, serial.
pub const CERTIFICATES_BY_SUFFIX: Table<()> = Table::new("certificates_by_suffix");

/// Certificates by profile, in the order in which they were signed. Key: the profile's name, 0x00, time
/// (u64, big-endian), serial.
pub const CERTIFICATES_BY_PROFILE: Table<()> = Table::new("certificates_by_profile");

/// Certificates in the order in which they were signed. Key: time (u64, big-endian), serial.
pub const CERTIFICATES_BY_ISSUE: Table<()> = Table::new("certificates_by_issue");

/// Certificates of a node, the youngest last. Key: its common name, 0x00, notBefore and position in the
/// journal (u64, big-endian), serial.
pub const CERTIFICATES_BY_NODE: Table<()> = Table::new("certificates_by_node");

/// Certificates in the order in which they expire. Key: notAfter (u64, big-endian), serial.
pub const CERTIFICATES_BY_EXPIRY: Table<()> = Table::new("certificates_by_expiry");

/// Who may administer. Key: SHA-256 of the certificate, lower-case hexadecimal.
pub const ADMINISTRATORS: Table<AdministratorRecord> = Table::new("administrators");

/// The issuing CAs that went active. Key: label of the issuing key.
pub const ACTIVATIONS: Table<Activation> = Table::new("activations");

/// How far the indexes of [`CERTIFICATES`] are built. Key: [`INDEXES_KEY`].
pub const INDEXES: Table<Indexes> = Table::new("indexes");

/// The only key of [`INDEXES`].
pub const INDEXES_KEY: &str = "certificates";

/// How far each signer's journal has been taken over (J3). Key: journal id.
pub const JOURNALS: Table<JournalPosition> = Table::new("journals");

/// A certificate that was signed, why, and where the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Its serial number.
    pub serial: Serial,
    /// DER; base64 in JSON.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// The profile's name, or the role for certificates of our own.
    pub profile: String,
    /// SHA-256 of the profile file, hexadecimal; empty for roles.
    pub profile_sha256: String,
    /// Label of the issuing key.
    pub issuer: String,
    /// Why it was signed.
    pub record: AuthorizationRecord,
    /// Id of the journal that has it.
    pub journal: String,
    /// Position in that journal.
    pub seq: u64,
    /// When it was journalled.
    pub at: UnixTime,
    /// Set once it is revoked.
    pub revoked: Option<Revocation>,
}

/// That a certificate is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When it takes effect.
    pub at: UnixTime,
    /// RFC 5280 section 5.3.1 code.
    pub reason: Option<u8>,
    /// Since when the key is suspected, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidity: Option<UnixTime>,
    /// Who revoked it, in the words of the authorization record.
    pub actor: String,
}

/// An administrator, known by the fingerprint of his certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdministratorRecord {
    /// Subject common name.
    pub name: String,
    /// What he may do.
    #[serde(default)]
    pub role: Role,
    /// When he was enrolled.
    pub enrolled: UnixTime,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

/// That an issuing CA went active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// When that was journalled.
    pub at: UnixTime,
    /// Who did it, in the words of the authorization record.
    pub actor: String,
    /// What failed then, a sentence each: none, unless it was forced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// Which indexes of the certificates there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexes {
    /// Version of what [`index_certificate`] writes.
    pub version: u32,
    /// The last certificate that was indexed, while they are being built.
    pub built_to: Option<Serial>,
}

/// The last entry of a journal that the store has taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPosition {
    /// Its position, from 1.
    pub seq: u64,
    /// Its chain hash, hexadecimal: another hash at the same position is another journal.
    pub hash: String,
}

/// What a certificate rests on: who asked for it, and how its names were proved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// Who asked, in the words of the authorization record.
    Actor(String),
    /// The address that showed control of a name.
    Address(IpAddr),
    /// How control of a name was shown.
    Method(Method),
    /// The registered node that it is for.
    Node(String),
    /// By which version of a validator.
    Validator(String),
}

impl Ground {
    /// Every ground of a certificate, each once.
    pub fn of(record: &AuthorizationRecord) -> BTreeSet<Self> {
        let mut grounds = BTreeSet::from([Self::Actor(record.actor.clone())]);
        grounds.extend(record.node.clone().map(Self::Node));
        for evidence in &record.names {
            grounds.insert(Self::Method(evidence.method));
            grounds.insert(Self::Validator(evidence.validator.clone()));
            let address = evidence.seen.as_ref().and_then(|seen| seen.address.as_ref());
            grounds.extend(address.and_then(|text| text.parse::<SocketAddr>().ok()).map(|one| Self::Address(one.ip())));
        }
        grounds
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(actor) => write!(f, "actor={actor:.256}"),
            Self::Address(address) => write!(f, "address={address}"),
            Self::Method(method) => write!(f, "method={}", method.as_str()),
            Self::Node(name) => write!(f, "node={name:.256}"),
            Self::Validator(version) => write!(f, "validator={version:.256}"),
        }
    }
}

/// The labels of a DNS name from its end: `test.example.www`.
pub fn reversed(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}

/// Adds the record's rows in every index: name, ground, public key, profile, issue, expiry and CRLs. They are the same however
/// often written, so a record that is taken over twice does no harm. A record whose certificate is
/// not DER makes the commit fail.
pub fn index_certificate(change: &mut Change, record: &CertificateRecord) {
    let indexed = Certificate::from_der(&record.certificate).and_then(|certificate| {
        let certificate = certificate.tbs_certificate();
        let spki = certificate.subject_public_key_info().to_der()?;
        let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
        let validity = certificate.validity();
        Ok((spki, seconds(&validity.not_before), seconds(&validity.not_after)))
    });
    let (spki, not_before, not_after) = match indexed {
        Ok(indexed) => indexed,
        Err(error) => return change.refuse(&CERTIFICATES, format!("a certificate that is not DER: {error}")),
    };
    for url in policy::tbs::Certificate::from_der(&record.certificate).iter().flat_map(|named| named.crl_urls()) {
        let scope = Scope::named_in(&url, record.serial).to_string();
        change.put(&CRLS_NAMED, named_key(&record.issuer, UnixTime(not_after), &scope, &url), &());
    }
    let serial = record.serial.as_bytes();
    for evidence in &record.record.names {
        let name = evidence.name.to_string();
        change.put(&CERTIFICATES_BY_NAME, [name.as_bytes(), &[0], serial].concat(), &());
        if matches!(evidence.name, Name::Dns(_)) {
            change.put(&CERTIFICATES_BY_SUFFIX, [reversed(&name).as_bytes(), &[0], serial].concat(), &());
        }
    }
    let at = record.at.0.to_be_bytes();
    change.put(&CERTIFICATES_BY_PROFILE, [record.profile.as_bytes(), &[0], &at, serial].concat(), &());
    change.put(&CERTIFICATES_BY_ISSUE, [&at[..], serial].concat(), &());
    for ground in Ground::of(&record.record) {
        change.put(&CERTIFICATES_BY_GROUND, [ground.to_string().as_bytes(), &[0], serial].concat(), &());
    }
    if let Some(node) = &record.record.node {
        let age = [not_before.to_be_bytes(), record.seq.to_be_bytes()].concat();
        change.put(&CERTIFICATES_BY_NODE, [node.as_bytes(), &[0], &age, serial].concat(), &());
    }
    change.put(&CERTIFICATES_BY_SPKI, [digest(&SHA256, &spki).as_ref(), serial].concat(), &());
    change.put(&CERTIFICATES_BY_EXPIRY, [not_after.to_be_bytes().as_slice(), serial].concat(), &());
}

/// DER in JSON: base64 with padding.
pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use policy::evidence::NameEvidence;

    use super::super::{EngineKind, Store, StoreError, open};
    use super::*;

    /// Ed25519, self-signed by `openssl ca -selfsign -enddate 20300101000000Z`.
    const CERTIFICATE: &str = "\
        MIHcMIGPAhQ7jS3WINbFKyDsaBzyOe0jLtjpKTAFBgMrZXAwETEPMA0GA1UEAwwGYS50ZXN0MB4XDTI2MDEwMTAwMDAwMFoX\
        DTMwMDEwMTAwMDAwMFowETEPMA0GA1UEAwwGYS50ZXN0MCowBQYDK2VwAyEAQwtypEaAZz2wnFLLS3kAvhVSz6KdRx3azbPh\
        Dz90o3wwBQYDK2VwA0EASKw/ail99bG7XjLVtrtMWBeSosndlQ6FdztTyhXdEJMzjmMiAo4RiK06QcD8Lq+Rx79hVtlIG5/6\
        N8rI+4DqBw==";

    pub(in crate::store) fn record() -> CertificateRecord {
        let evidence = |address: &str| NameEvidence {
            name: Name::Ip(address.parse().unwrap()),
            method: Method::Administrator,
            at: UnixTime(1),
            validator: "1".to_owned(),
            seen: None,
            caa: None,
        };
        CertificateRecord {
            serial: Serial::from_slice(&[1; 20]).unwrap(),
            certificate: STANDARD.decode(CERTIFICATE).unwrap(),
            profile: "tls-server".to_owned(),
            profile_sha256: String::new(),
            issuer: "issuing-1".to_owned(),
            record: AuthorizationRecord {
                actor: "console".to_owned(),
                request_id: "1".to_owned(),
                order: None,
                subject: None,
                replaces: None,
                node: None,
                requester: None,
                names: vec![evidence("127.0.0.1"), evidence("::1")],
            },
            journal: "0".repeat(32),
            seq: 1,
            at: UnixTime(2),
            revoked: None,
        }
    }

    #[test]
    fn a_certificate_is_found_by_each_of_its_indexes_however_often_it_is_recorded() {
        use std::ops::Bound::{Excluded, Included};
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(open(EngineKind::Sqlite, directory.path()).unwrap());
        let record = record();
        for _ in 0..2 {
            let mut change = Change::new();
            change.put(&CERTIFICATES, record.serial.as_bytes(), &record);
            index_certificate(&mut change, &record);
            store.commit_blocking(change).unwrap();
        }
        assert_eq!(store.get(&CERTIFICATES, record.serial.as_bytes()).unwrap().unwrap().value, record);
        let serials = |index: &Table<()>, from: &[u8], to: &[u8]| -> Vec<Serial> {
            let rows = store.scan(index, (Included(from), Excluded(to)), 9, false).unwrap();
            rows.iter().map(|(key, _)| Serial::from_slice(&key[key.len() - 20..]).unwrap()).collect()
        };
        assert_eq!(serials(&CERTIFICATES_BY_NAME, b"127.0.0.1\0", b"127.0.0.1\x01"), [record.serial]);
        assert_eq!(serials(&CERTIFICATES_BY_NAME, b"::1\0", b"::1\x01"), [record.serial]);
        assert_eq!(serials(&CERTIFICATES_BY_NAME, b"127.0.0.2\0", b"127.0.0.2\x01"), []);
        let not_after = 1_893_456_000u64;
        let expiry = |at: u64| serials(&CERTIFICATES_BY_EXPIRY, &[0; 8], &at.to_be_bytes());
        assert_eq!(expiry(not_after + 1), [record.serial]);
        assert_eq!(expiry(not_after), []);
        let spki: [u8; 32] = [
            0xe8, 0x4f, 0x81, 0x9b, 0xe0, 0x75, 0x6b, 0xff, 0xbe, 0xef, 0xbf, 0x99, 0x58, 0x31, 0x4b, 0xee, 0xd5, 0x4a,
            0x8b, 0x1b, 0x96, 0xc6, 0x96, 0x5b, 0x27, 0x6f, 0x9e, 0x00, 0x1d, 0xbd, 0x08, 0x05,
        ];
        assert_eq!(serials(&CERTIFICATES_BY_SPKI, &spki, &[&spki[..], &[0xff]].concat()), [record.serial]);
    }

    #[test]
    fn a_record_without_a_certificate_in_it_is_refused() {
        let mut change = Change::new();
        index_certificate(&mut change, &CertificateRecord { certificate: b"no DER".to_vec(), ..record() });
        assert!(matches!(change.into_batch(), Err(StoreError::Invalid { tree: "certificates", .. })));
    }
}
