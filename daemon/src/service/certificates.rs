//! Certificates that were signed: listed, shown, revoked.

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs;

use super::Services;
use super::administrators::Permitted;
use super::peer::hex;
use crate::issuance::ca::CaError;
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_GROUND, CERTIFICATES_BY_NAME, CertificateRecord};
use crate::store::{StoreError, Table};

pub use crate::store::tables::Ground;

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

/// Which certificates, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Those after this serial number, in the order of serial numbers.
    pub after: Option<Serial>,
    /// At most so many, and never more than [`MOST`].
    pub limit: usize,
    /// Those that carry exactly this name, or rest on this ground; all, if there is none.
    pub which: Option<Which>,
}

/// Which certificates: one index answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that rest on this.
    Ground(Ground),
    /// Those that carry exactly this name.
    Name(Name),
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// What [`Query::after`] must be for the next page, if there is more.
    pub next: Option<Serial>,
}

/// Most certificates on one page.
pub const MOST: usize = 500;

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
    /// One page of certificates, by serial number.
    pub fn certificates(&self, _permitted: &Permitted, query: &Query) -> Result<Page, StoreError> {
        let limit = query.limit.clamp(1, MOST);
        // One more than asked for tells whether there is a next page.
        let mut records = match &query.which {
            None => {
                let after =
                    query.after.as_ref().map_or(Bound::Unbounded, |serial| Bound::Excluded(&serial.as_bytes()[..]));
                let rows = self.store.scan(&CERTIFICATES, (after, Bound::Unbounded), limit + 1, false)?;
                rows.into_iter().map(|(_, record)| record.value).collect()
            }
            Some(Which::Ground(ground)) => {
                self.indexed(&CERTIFICATES_BY_GROUND, &ground.to_string(), query.after, limit + 1)?
            }
            Some(Which::Name(name)) => {
                self.indexed(&CERTIFICATES_BY_NAME, &name.to_string(), query.after, limit + 1)?
            }
        };
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|record| record.serial);
        let certificates = records.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { certificates, next })
    }

    /// The certificate with this serial number, if there is one.
    pub fn certificate(&self, _permitted: &Permitted, serial: Serial) -> Result<Option<Certificate>, StoreError> {
        self.store.get(&CERTIFICATES, serial.as_bytes())?.map(|record| read(record.value)).transpose()
    }

    /// Those that an index has under a text, by serial number.
    pub(super) fn indexed(
        &self,
        index: &Table<()>,
        text: &str,
        after: Option<Serial>,
        limit: usize,
    ) -> Result<Vec<CertificateRecord>, StoreError> {
        let key = |separator: u8, serial: &[u8]| [text.as_bytes(), &[separator], serial].concat();
        let first = key(0, after.as_ref().map_or(&[], |serial| serial.as_bytes()));
        let first = if after.is_some() { Bound::Excluded(&first[..]) } else { Bound::Included(&first[..]) };
        let end = key(1, &[]);
        let mut records = Vec::new();
        for (key, _) in self.store.scan(index, (first, Bound::Excluded(&end)), limit, false)? {
            let serial = &key[text.len() + 1..];
            // They are written in one commit.
            let damaged = || StoreError::Damaged { tree: CERTIFICATES.tree.0, key: hex(serial) };
            records.push(self.store.get(&CERTIFICATES, serial)?.ok_or_else(damaged)?.value);
        }
        Ok(records)
    }
}

fn read(record: CertificateRecord) -> Result<Certificate, StoreError> {
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
