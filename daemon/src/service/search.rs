//! Looking for certificates: every question is answered from one index, a page at a time, each page
//! with a bounded amount of work, whatever the store holds.

mod cursor;
mod pattern;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::name::Name;
use policy::rights::Actor;
use policy::tbs;

use super::Services;
use super::certificates::{Certificate, reaches, read};
use super::rights::{Permitted, Scope};
use crate::store::StoreError;
use crate::store::tables::{CERTIFICATES, CertificateRecord};
use plan::Plan;

pub use crate::store::tables::Ground;
pub use cursor::{Cursor, CursorError};
pub use pattern::{NamePattern, NamePatternError, SerialPrefix, SerialPrefixError};

/// Which certificates: those that every part of it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// What they rest on: each of these.
    pub grounds: Vec<Ground>,
    /// A name in them.
    pub name: Option<NamePattern>,
    /// The profile's name, or the role's.
    pub profile: Option<String>,
    /// How their serial number begins.
    pub serial: Option<SerialPrefix>,
    /// SHA-256 of their SubjectPublicKeyInfo.
    pub spki: Option<[u8; 32]>,
    /// How they are.
    pub status: Option<Status>,
    /// When they were signed.
    pub issued: Period,
    /// Their last second.
    pub expires: Period,
}

/// A period: from its first second on, up to and without its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first second, if there is one.
    pub from: Option<UnixTime>,
    /// The first second that is too late, if there is one.
    pub until: Option<UnixTime>,
}

impl Period {
    /// Whether it holds `time`.
    fn contains(self, time: UnixTime) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }

    fn is_given(self) -> bool {
        self != Self::default()
    }
}

/// How a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its time is over, and it was not revoked.
    Expired,
    /// It is on hold.
    Held,
    /// It is revoked for good.
    Revoked,
    /// It is good, or will be when its time begins.
    Valid,
}

impl Status {
    /// Every status, with its name.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Expired, "expired"), (Self::Held, "held"), (Self::Revoked, "revoked"), (Self::Valid, "valid")];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("all are there").1
    }

    pub(super) fn of(revoked: Option<Option<u8>>, not_after: UnixTime, now: UnixTime) -> Self {
        const CERTIFICATE_HOLD: u8 = 6;
        match revoked {
            Some(Some(CERTIFICATE_HOLD)) => Self::Held,
            Some(_) => Self::Revoked,
            None if not_after < now => Self::Expired,
            None => Self::Valid,
        }
    }
}

/// One page of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The certificates, in the order of the index.
    pub certificates: Vec<Certificate>,
    /// Where the next page begins, if there is more to look at. A page may hold fewer than asked for,
    /// even none, and have a next one: each does so much work and no more.
    pub next: Option<Cursor>,
}

/// Most certificates on one page.
pub const MOST: usize = 500;

/// Most certificates that are looked at for one page: some ten milliseconds.
const WORK: usize = 1000;

/// How many are read at a time.
const CHUNK: usize = 100;

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It belongs to another question.
    #[error("the cursor belongs to another search: begin without one")]
    Cursor,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Services {
    /// One page of the certificates that fit, at most `limit` and never more than [`MOST`].
    pub fn search(
        &self,
        permitted: &Permitted,
        search: &Search,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, SearchError> {
        let mut search = search.clone();
        match (permitted.scope(), permitted.who(), permitted.shown()) {
            (Scope::Everything, ..) => {}
            // His own one, and there is no need to look at others.
            (Scope::Own, _, Some(own)) => {
                if search.serial.as_ref().is_some_and(|prefix| !prefix.fits(own)) {
                    return Ok(Page { certificates: Vec::new(), next: None });
                }
                search.serial = Some(SerialPrefix::whole(own));
            }
            (Scope::Own, Actor::Token(..), None) => search.grounds.insert(0, Ground::Actor(permitted.actor().who)),
            (Scope::Own, _, None) => {}
        }
        let search = &search;
        let plan = if self.store.certificates_are_indexed()? { Plan::of(search) } else { Plan::walk(search) };
        let limit = limit.clamp(1, MOST);
        let mut at = match after {
            None => Bound::Included(plan.first.clone()),
            Some(cursor) => Bound::Excluded(plan.resume(cursor).ok_or(SearchError::Cursor)?.to_vec()),
        };
        let now = self.clock.now();
        let mut certificates = Vec::new();
        for _ in 0..WORK / CHUNK {
            let rows = self.read_chunk(&plan, at.as_ref().map(Vec::as_slice), CHUNK)?;
            let is_last = rows.len() < CHUNK;
            for (key, record) in rows {
                if plan.is_first_of(&key, &record) && search.fits(&record) && reaches(permitted, &record) {
                    let certificate = read(record)?;
                    if search.fits_in_time(&certificate, now) {
                        certificates.push(certificate);
                    }
                }
                at = Bound::Excluded(key);
                if certificates.len() == limit {
                    break;
                }
            }
            if certificates.len() == limit {
                let more = !self.read_chunk(&plan, at.as_ref().map(Vec::as_slice), 1)?.is_empty();
                return Ok(Page { certificates, next: plan.cursor(&at).filter(|_| more) });
            }
            if is_last {
                return Ok(Page { certificates, next: None });
            }
        }
        Ok(Page { certificates, next: plan.cursor(&at) })
    }

    /// Keys of the plan's index and the records that they stand for. A row whose record is not there
    /// yet, or not readable by its key, is left out.
    fn read_chunk(
        &self,
        plan: &Plan,
        from: Bound<&[u8]>,
        count: usize,
    ) -> Result<Vec<(Vec<u8>, CertificateRecord)>, StoreError> {
        let range = (from, Bound::Excluded(plan.end.as_slice()));
        let Some(index) = plan.table() else {
            let rows = self.store.scan(&CERTIFICATES, range, count, false)?;
            return Ok(rows.into_iter().map(|(key, row)| (key, row.value)).collect());
        };
        let mut rows = Vec::with_capacity(count);
        for (key, _) in self.store.scan(&index, range, count, false)? {
            // An index row is written in the same commit as its record.
            let serial = key.len().checked_sub(20).map(|start| &key[start..]).unwrap_or_default();
            let row = self.store.get(&CERTIFICATES, serial)?;
            let missing = || StoreError::Damaged { tree: index.tree.0, key: super::peer::hex(&key) };
            rows.push((key.clone(), row.ok_or_else(missing)?.value));
        }
        Ok(rows)
    }
}

impl Search {
    /// What the record itself says.
    fn fits(&self, record: &CertificateRecord) -> bool {
        let names = || record.record.names.iter().map(|evidence| &evidence.name);
        let grounds = || Ground::of(&record.record);
        (self.grounds.is_empty() || self.grounds.iter().all(|ground| grounds().contains(ground)))
            && self.name.as_ref().is_none_or(|pattern| names().any(|name| pattern.fits(name)))
            && self.profile.as_ref().is_none_or(|profile| *profile == record.profile)
            && self.serial.as_ref().is_none_or(|prefix| prefix.fits(record.serial))
            && self.issued.contains(record.at)
            && self.spki.is_none_or(|spki| has_key(record, &spki))
    }

    /// What has to be read from the certificate.
    fn fits_in_time(&self, certificate: &Certificate, now: UnixTime) -> bool {
        self.expires.contains(certificate.not_after)
            && self.status.is_none_or(|status| status == certificate.status(now))
    }
}

fn has_key(record: &CertificateRecord, spki: &[u8; 32]) -> bool {
    let certificate = tbs::Certificate::from_der(&record.certificate);
    certificate.is_ok_and(|certificate| certificate.key().is_ok_and(|key| key.spki_sha256() == *spki))
}

/// The names of a record.
fn names(record: &CertificateRecord) -> impl Iterator<Item = &Name> {
    record.record.names.iter().map(|evidence| &evidence.name)
}
