//! Certificates that were signed: shown, revoked.

use aws_lc_rs::digest::{SHA256, digest};
use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs;

use super::Services;
use super::peer::hex;
use super::rights::{Permitted, Scope};
use super::search::Status;
use crate::issuance::ca::CaError;
use crate::store::StoreError;
use crate::store::tables::{CERTIFICATES, CertificateRecord};

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// When the journal had it.
    pub at: UnixTime,
    /// DER.
    pub der: Vec<u8>,
    /// Issuer, RFC 4514 text.
    pub issuer: String,
    /// The names in it.
    pub names: Vec<Name>,
    /// Last second of its validity.
    pub not_after: UnixTime,
    /// First second of its validity.
    pub not_before: UnixTime,
    /// The profile's name, or the role for certificates of our own.
    pub profile: String,
    /// Why it was signed.
    pub record: AuthorizationRecord,
    /// Set once it is revoked: when, and the code of RFC 5280 section 5.3.1.
    pub revoked: Option<(UnixTime, Option<u8>)>,
    /// Serial number.
    pub serial: Serial,
    /// Subject, RFC 4514 text.
    pub subject: String,
}

impl Certificate {
    /// How it is.
    pub fn status(&self, now: UnixTime) -> Status {
        Status::of(self.revoked.map(|(_, reason)| reason), self.not_after, now)
    }
}

/// Why a certificate was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It was signed by another CA, whose CRL would have to name it.
    #[error("the certificate was issued by {0}, which alone can revoke it: that is a ceremony")]
    NotOurs(String),
    /// It is as it should be already, and keeps the reason that it has.
    #[error("the certificate is {0} already")]
    Already(&'static str),
    /// The date since which it is invalid has not come.
    #[error("the certificate cannot be invalid since a time that has not come: write an earlier date")]
    Invalidity,
    /// Its profile does not allow a hold.
    #[error("{serial} cannot be put on hold: profile `{profile}` does not allow it (`[revocation] hold`)")]
    NoHold {
        /// Which.
        serial: Serial,
        /// Its profile.
        profile: String,
    },
    /// There is no such certificate, or the signer or the store did not do it.
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl Services {
    /// The certificate with this serial number, if there is one within the scope.
    pub fn certificate(&self, permitted: &Permitted, serial: Serial) -> Result<Option<Certificate>, StoreError> {
        let row = self.store.get(&CERTIFICATES, serial.as_bytes())?;
        row.map(|row| row.value).filter(|record| reaches(permitted, record)).map(read).transpose()
    }
}

/// Whether it lies within the scope.
pub(super) fn reaches(permitted: &Permitted, record: &CertificateRecord) -> bool {
    permitted.scope() == Scope::Everything
        || permitted.reaches(&hex(digest(&SHA256, &record.certificate).as_ref()), &record.record.actor)
}

pub(super) fn read(record: CertificateRecord) -> Result<Certificate, StoreError> {
    let parsed = tbs::Certificate::from_der(&record.certificate)
        .map_err(|_| StoreError::Damaged { tree: "certificates", key: record.serial.to_string() })?;
    Ok(Certificate {
        at: record.at,
        issuer: parsed.issuer(),
        names: parsed.names().to_vec(),
        not_after: parsed.validity().not_after(),
        not_before: parsed.validity().not_before(),
        subject: parsed.subject(),
        der: record.certificate,
        profile: record.profile,
        record: record.record,
        revoked: record.revoked.map(|revoked| (revoked.at, revoked.reason)),
        serial: record.serial,
    })
}
