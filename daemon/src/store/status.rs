//! What relying parties may ask about a certificate, in tables that are read without the certificate
//! itself: who is revoked, in the order in which a CRL lists it; what an OCSP answer was; which CRLs
//! were published. Catching up with the journal fills the first of them, the rest belongs to
//! `revocation`.

use policy::effects::UnixTime;
use serde::{Deserialize, Serialize};

use super::tables::Revocation;
use super::{Change, Table};

/// Revoked certificates. Key: [`list_prefix`], serial number. One scan over a prefix gives the entries of one CRL.
pub const REVOKED: Table<RevokedEntry> = Table::new("revoked");

/// What was revoked or released, in that order: what a delta CRL is made of. Key: [`list_prefix`].
pub const REVOKED_CHANGES: Table<StatusChange> = Table::new("revoked_changes");

/// OCSP answers that were signed. Key: [`serial_key`]. Every change of a certificate's status writes
/// the row anew, in the same commit: an answer that was signed for the status before cannot be kept
/// any more, because whoever keeps it expects the version that he read.
pub const OCSP: Table<OcspRow> = Table::new("ocsp");

/// OCSP answers by the time at which they are signed again. Key: due (u64, big-endian), then the key
/// in [`OCSP`].
pub const OCSP_DUE: Table<()> = Table::new("ocsp_due");

/// The CRLs that certificates name, until the last of them has expired. Key: [`named_key`]; written with a
/// certificate's indexes.
pub const CRLS_NAMED: Table<()> = Table::new("crls_named");

/// Certificates of another system that had the same issuing key. Key: serial, 20 octets.
pub const IMPORTED: Table<Imported> = Table::new("imported");

/// A revoked certificate, as a CRL needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedEntry {
    /// When it takes effect.
    #[serde(rename = "a")]
    pub at: UnixTime,
    /// RFC 5280 section 5.3.1 code.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<u8>,
    /// Since when the key is suspected, if that is known.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub invalidity: Option<UnixTime>,
    /// Last second of the certificate: the entry leaves one CRL later.
    #[serde(rename = "x")]
    pub not_after: UnixTime,
}

/// One change of status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// When it was journalled.
    pub at: UnixTime,
    /// The journal that has it: positions in different journals cannot be compared.
    pub journal: String,
    /// Whether the certificate is listed since then. If not, a delta CRL says removeFromCRL.
    pub listed: bool,
}

/// The OCSP answers of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OcspRow {
    /// When they are due to be signed again, as [`OCSP_DUE`] has it; `None` if nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<UnixTime>,
    /// When somebody asked last; not kept to the second.
    #[serde(default)]
    pub asked: UnixTime,
    /// The answer to a request with a SHA-1 CertID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<Kept>,
    /// The answer to a request with a SHA-256 CertID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Kept>,
}

/// An answer that was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// ResponseData, DER; base64 in JSON. The certificate of the responder stands outside of what is
    /// signed, and is added when the answer is given.
    #[serde(with = "super::tables::base64_bytes")]
    pub data: Vec<u8>,
    /// Label of the key that signed it.
    pub by: String,
    /// The signature over it.
    #[serde(with = "super::tables::base64_bytes")]
    pub signature: Vec<u8>,
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its nextUpdate.
    pub next_update: UnixTime,
}

/// What is known of a certificate of another system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Label of the issuing key.
    pub issuer: String,
    /// Last second of its validity.
    pub not_after: UnixTime,
    /// Its subject, for people.
    #[serde(default)]
    pub subject: String,
    /// Set once it is revoked.
    #[serde(default)]
    pub revoked: Option<Revocation>,
}

/// Key of a certificate in [`OCSP`]: the issuer's label, 0x00, the serial number.
/// Labels hold no zero octet.
pub fn serial_key(issuer: &str, serial: &[u8]) -> Vec<u8> {
    [issuer.as_bytes(), &[0], serial].concat()
}

/// Key in [`CRLS_NAMED`]: the issuer's label, 0x00, the end of the week in which a certificate expires (u64,
/// big-endian), the scope as text, 0x00, the URL. So there is a row a week, however many certificates name it.
pub fn named_key(issuer: &str, not_after: UnixTime, scope: &str, url: &str) -> Vec<u8> {
    const WEEK: u64 = 7 * 86_400;
    let end = (not_after.0 / WEEK).saturating_add(1).saturating_mul(WEEK);
    [issuer.as_bytes(), &[0], &end.to_be_bytes(), scope.as_bytes(), &[0], url.as_bytes()].concat()
}

/// What the keys of one CRL begin with in [`REVOKED`] and [`REVOKED_CHANGES`]: the issuer's label,
/// 0x00, the scope as text (`all`, `3-of-16`), 0x00. The serial number follows, in [`REVOKED_CHANGES`]
/// after the position of the act in the journal (u64, big-endian).
pub fn list_prefix(issuer: &str, scope: &str) -> Vec<u8> {
    [issuer.as_bytes(), &[0], scope.as_bytes(), &[0]].concat()
}

/// The first key after all that begin with `prefix`, which does not end in 0xff throughout.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// A certificate whose status changed.
pub struct Changed<'a> {
    /// Label of the issuing key.
    pub issuer: &'a str,
    /// The scopes of the CRLs that list it: all, and the shard that it names if it names one.
    pub scopes: &'a [String],
    /// Its serial number.
    pub serial: &'a [u8],
    /// Last second of its validity.
    pub not_after: UnixTime,
    /// The journal that has the act.
    pub journal: &'a str,
    /// Position of the act in it.
    pub seq: u64,
    /// When the act was journalled.
    pub at: UnixTime,
}

/// Writes what follows from a change of status, into the commit that makes it: the entries of the
/// CRLs and of their deltas, and an OCSP row without an answer that is due now.
pub fn stage(change: &mut Change, what: &Changed<'_>, revoked: Option<&Revocation>) {
    let Changed { issuer, scopes, serial, not_after, journal, seq, at } = *what;
    for scope in scopes {
        let prefix = list_prefix(issuer, scope);
        let key = [&prefix, serial].concat();
        match revoked {
            Some(Revocation { at, reason, invalidity, .. }) => {
                let entry = RevokedEntry { at: *at, reason: *reason, invalidity: *invalidity, not_after };
                change.put(&REVOKED, key, &entry);
            }
            None => change.delete(&REVOKED, key),
        }
        let what = StatusChange { at, journal: journal.to_owned(), listed: revoked.is_some() };
        change.put(&REVOKED_CHANGES, [&prefix, seq.to_be_bytes().as_slice(), serial].concat(), &what);
    }
    let key = serial_key(issuer, serial);
    // Somebody who revokes wants it to be seen: as if it had been asked for.
    change.put(&OCSP, &key, &OcspRow { due: Some(at), asked: at, sha1: None, sha256: None });
    change.put(&OCSP_DUE, due_key(at, &key), &());
}

/// Key in [`OCSP_DUE`].
pub fn due_key(due: UnixTime, key: &[u8]) -> Vec<u8> {
    [due.0.to_be_bytes().as_slice(), key].concat()
}
