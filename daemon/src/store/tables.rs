//! The tables that several rooms share. A room's own tables stand with the room.

use aws_lc_rs::digest::{SHA256, digest};
use der::{Decode, Encode};
use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::serial::Serial;
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;

use super::{Change, Table};

/// Every certificate that was signed. Key: serial, 20 octets.
pub const CERTIFICATES: Table<CertificateRecord> = Table::new("certificates");

/// Certificates by name. Key: the name as text, 0x00, serial.
pub const CERTIFICATES_BY_NAME: Table<()> = Table::new("certificates_by_name");

/// Certificates by public key. Key: SHA-256 of the SubjectPublicKeyInfo (32 octets), serial.
pub const CERTIFICATES_BY_SPKI: Table<()> = Table::new("certificates_by_spki");

/// Certificates in the order in which they expire. Key: notAfter (u64, big-endian), serial.
pub const CERTIFICATES_BY_EXPIRY: Table<()> = Table::new("certificates_by_expiry");

/// Who may administer. Key: SHA-256 of the certificate, lower-case hexadecimal.
pub const ADMINISTRATORS: Table<AdministratorRecord> = Table::new("administrators");

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
    /// Who revoked it, in the words of the authorization record.
    pub actor: String,
}

/// An administrator, known by the fingerprint of his certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdministratorRecord {
    /// Subject common name.
    pub name: String,
    /// When he was enrolled.
    pub enrolled: UnixTime,
    /// When he was removed, if he was.
    pub removed: Option<UnixTime>,
}

/// The last entry of a journal that the store has taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPosition {
    /// Its position, from 1.
    pub seq: u64,
    /// Its chain hash, hexadecimal: another hash at the same position is another journal.
    pub hash: String,
}

/// Adds the record's rows in the indexes by name, public key and expiry. They are the same however
/// often written, so a record that is taken over twice does no harm. A record whose certificate is
/// not DER makes the commit fail.
pub fn index_certificate(change: &mut Change, record: &CertificateRecord) {
    let indexed = Certificate::from_der(&record.certificate).and_then(|certificate| {
        let certificate = certificate.tbs_certificate();
        let spki = certificate.subject_public_key_info().to_der()?;
        Ok((spki, certificate.validity().not_after.to_unix_duration().as_secs()))
    });
    let (spki, not_after) = match indexed {
        Ok(indexed) => indexed,
        Err(error) => return change.refuse(&CERTIFICATES, format!("a certificate that is not DER: {error}")),
    };
    let serial = record.serial.as_bytes();
    for evidence in &record.record.names {
        let name = evidence.name.to_string();
        change.put(&CERTIFICATES_BY_NAME, [name.as_bytes(), &[0], serial].concat(), &());
    }
    change.put(&CERTIFICATES_BY_SPKI, [digest(&SHA256, &spki).as_ref(), serial].concat(), &());
    change.put(&CERTIFICATES_BY_EXPIRY, [not_after.to_be_bytes().as_slice(), serial].concat(), &());
}

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
