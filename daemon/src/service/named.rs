//! Certificates as everybody may ask for them: those of the profiles, by a name or by a serial number.
//! The CA's own, its administrators' among them, are not shown.

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::name::Name;
use policy::registration::CommonName;
use policy::serial::Serial;

use super::certificates::{Certificate, read};
use super::rights::Permitted;
use super::{Failure, Services};
use crate::store::status::IMPORTED;
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_NAME, CertificateRecord};

/// Whether a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its time is over.
    Expired,
    /// It is, or will be.
    Good,
    /// It was revoked, or is on hold: since when, and the code of RFC 5280 section 5.3.1.
    Revoked(UnixTime, Option<u8>),
}

/// A page of certificates, by serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// Where the next page begins, if there is more to look at: after this serial number.
    pub next: Option<Serial>,
}

/// What is known of a serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Serial number.
    pub serial: Serial,
    /// Common name, or else the first name, of the certificate.
    pub common_name: Option<String>,
    /// Whether it is good.
    pub standing: Standing,
}

/// Most certificates on one page.
pub const MOST: usize = 500;

/// Certificates that are looked at when the youngest one for a name is wanted.
const STEP: usize = 1000;

impl Services {
    /// One page of certificates of the profiles, by serial number. It may have fewer than `limit`, and be
    /// followed by another one.
    pub fn public_certificates(
        &self,
        _permitted: &Permitted,
        after: Option<Serial>,
        limit: usize,
    ) -> Result<Page, Failure> {
        let limit = limit.clamp(1, MOST);
        let from = after.as_ref().map_or(Bound::Unbounded, |serial| Bound::Excluded(&serial.as_bytes()[..]));
        let rows = self.store.scan(&CERTIFICATES, (from, Bound::Unbounded), limit, false)?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|(_, row)| row.value.serial);
        let of_profile = rows.into_iter().map(|(_, row)| row.value).filter(|record| self.is_public(record));
        Ok(Page { certificates: of_profile.map(read).collect::<Result<_, _>>()?, next })
    }

    /// The youngest certificate of the node of that name, or for the name that it is. Of the latter, so
    /// many are looked at that an answer takes a bounded time.
    pub fn certificate_called(&self, permitted: &Permitted, name: &str) -> Result<Option<Certificate>, Failure> {
        let node = CommonName::parse(name).ok().map(|name| self.node(permitted, &name)).transpose();
        if let Ok(Some(serial)) = node.map(|node| node.and_then(|node| node.certificate)) {
            return self.public_certificate(permitted, serial);
        }
        let Ok(name) = Name::parse(&name.to_ascii_lowercase()) else { return Ok(None) };
        let text = name.to_string();
        let key = |separator: u8| [text.as_bytes(), &[separator]].concat();
        let (first, end) = (key(0), key(1));
        let range = (Bound::Included(first.as_slice()), Bound::Excluded(end.as_slice()));
        let mut youngest: Option<CertificateRecord> = None;
        for (key, _) in self.store.scan(&CERTIFICATES_BY_NAME, range, STEP, false)? {
            let row = self.store.get(&CERTIFICATES, &key[first.len()..])?;
            let Some(record) = row.map(|row| row.value).filter(|record| self.is_public(record)) else { continue };
            if youngest.as_ref().is_none_or(|youngest| youngest.at <= record.at) {
                youngest = Some(record);
            }
        }
        Ok(youngest.map(read).transpose()?)
    }

    /// The certificate with this serial number, if it is one of a profile.
    pub fn public_certificate(&self, _permitted: &Permitted, serial: Serial) -> Result<Option<Certificate>, Failure> {
        let row = self.store.get(&CERTIFICATES, serial.as_bytes())?;
        Ok(row.map(|row| row.value).filter(|record| self.is_public(record)).map(read).transpose()?)
    }

    /// What is known of a serial number, certificates of another system included that were imported.
    pub fn status_of(&self, permitted: &Permitted, serial: Serial) -> Result<Option<Status>, Failure> {
        if let Some(certificate) = self.public_certificate(permitted, serial)? {
            let standing = self.standing(&certificate);
            return Ok(Some(Status { serial, common_name: certificate.called(), standing }));
        }
        let Some(row) = self.store.get(&IMPORTED, serial.as_bytes())? else { return Ok(None) };
        let imported = row.value;
        let standing = match imported.revoked {
            Some(revoked) => Standing::Revoked(revoked.at, revoked.reason),
            None if imported.not_after < self.clock.now() => Standing::Expired,
            None => Standing::Good,
        };
        Ok(Some(Status { serial, common_name: Some(imported.subject), standing }))
    }

    /// Whether a certificate is good now.
    pub fn standing(&self, certificate: &Certificate) -> Standing {
        match certificate.revoked {
            Some((at, reason)) => Standing::Revoked(at, reason),
            None if certificate.not_after < self.clock.now() => Standing::Expired,
            None => Standing::Good,
        }
    }

    fn is_public(&self, record: &CertificateRecord) -> bool {
        self.profiles.now().contains_key(&record.profile)
    }
}

impl Certificate {
    /// Its common name, or else its first name.
    pub fn called(&self) -> Option<String> {
        let parsed = policy::tbs::Certificate::from_der(&self.der).ok()?;
        parsed.common_name().or_else(|| self.names.first().map(Name::to_string))
    }
}
