//! Which index answers a question, and between which of its keys.

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::name::Name;

use super::{Cursor, NamePattern, Period, Search, names};
use crate::store::Table;
use crate::store::tables::{
    CERTIFICATES_BY_EXPIRY, CERTIFICATES_BY_GROUND, CERTIFICATES_BY_ISSUE, CERTIFICATES_BY_NAME,
    CERTIFICATES_BY_PROFILE, CERTIFICATES_BY_SPKI, CERTIFICATES_BY_SUFFIX, CertificateRecord, reversed,
};

/// A range of one index. The key of each ends with the serial number, 20 octets.
pub(super) struct Plan {
    index: Index,
    /// The first key that can be in it.
    pub(super) first: Vec<u8>,
    /// The first key after all that can be in it.
    pub(super) end: Vec<u8>,
    /// What decides which of a certificate's rows counts, where it can have several in the range.
    several: Option<NamePattern>,
}

/// The indexes; the number of each stands in cursors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Serial = 1,
    Name,
    Suffix,
    Spki,
    Ground,
    Profile,
    Issue,
    Expiry,
}

impl Plan {
    /// The index that leaves least to look at.
    pub(super) fn of(search: &Search) -> Self {
        if let Some(spki) = &search.spki {
            return Self::below(Index::Spki, spki.to_vec());
        }
        match &search.name {
            Some(NamePattern::Exact(name)) => return Self::under(Index::Name, &name.to_string()),
            Some(pattern @ NamePattern::Below(base)) => {
                let prefix = reversed(base.as_str()) + ".";
                return Self { several: Some(pattern.clone()), ..Self::below(Index::Suffix, prefix.into_bytes()) };
            }
            Some(NamePattern::Contains(_)) | None => {}
        }
        if search.serial.is_some() {
            return Self::walk(search);
        }
        if let Some(ground) = search.grounds.first() {
            return Self::under(Index::Ground, &ground.to_string());
        }
        if let Some(profile) = &search.profile {
            let prefix = [profile.as_bytes(), &[0]].concat();
            let end = [profile.as_bytes(), &[1]].concat();
            return Self::within(Index::Profile, &prefix, search.issued, end);
        }
        if let Some(pattern @ NamePattern::Contains(_)) = &search.name {
            let (first, end) = (vec![0], vec![u8::MAX]);
            return Self { index: Index::Name, first, end, several: Some(pattern.clone()) };
        }
        if search.expires.is_given() {
            return Self::within(Index::Expiry, &[], search.expires, AFTER_ALL.to_vec());
        }
        if search.issued.is_given() {
            return Self::within(Index::Issue, &[], search.issued, AFTER_ALL.to_vec());
        }
        Self::walk(search)
    }

    /// The certificates themselves, by serial number.
    pub(super) fn walk(search: &Search) -> Self {
        let (first, end) = match &search.serial {
            Some(prefix) => {
                let (least, greatest) = prefix.bounds();
                (least.to_vec(), [&greatest[..], &[0]].concat())
            }
            None => (vec![0], AFTER_ALL.to_vec()),
        };
        Self { index: Index::Serial, first, end, several: None }
    }

    /// Keys that begin with a text and 0x00.
    fn under(index: Index, text: &str) -> Self {
        let key = |separator| [text.as_bytes(), &[separator]].concat();
        Self { index, first: key(0), end: key(1), several: None }
    }

    /// Keys that begin with `prefix`.
    fn below(index: Index, prefix: Vec<u8>) -> Self {
        let end = crate::store::status::after_prefix(&prefix);
        // A hash of nothing but 0xff has no key after it; nobody will find one.
        let end = if end.is_empty() { AFTER_ALL.to_vec() } else { end };
        Self { index, first: prefix, end, several: None }
    }

    /// Keys that go on after `prefix` with a time of the period; `end` if it has no end.
    fn within(index: Index, prefix: &[u8], period: Period, end: Vec<u8>) -> Self {
        let key = |time: UnixTime| [prefix, &time.0.to_be_bytes()].concat();
        let first = key(period.from.unwrap_or_default());
        let end = period.until.map_or(end, key);
        // A period that is over before it begins holds nothing.
        Self { index, end: end.max(first.clone()), first, several: None }
    }

    /// The index; `None` for the certificates themselves.
    pub(super) fn table(&self) -> Option<Table<()>> {
        Some(match self.index {
            Index::Serial => return None,
            Index::Name => CERTIFICATES_BY_NAME,
            Index::Suffix => CERTIFICATES_BY_SUFFIX,
            Index::Spki => CERTIFICATES_BY_SPKI,
            Index::Ground => CERTIFICATES_BY_GROUND,
            Index::Profile => CERTIFICATES_BY_PROFILE,
            Index::Issue => CERTIFICATES_BY_ISSUE,
            Index::Expiry => CERTIFICATES_BY_EXPIRY,
        })
    }

    /// Whether this row is the first of its certificate in the range: a certificate with several names
    /// that fit is found once, however the pages fall.
    pub(super) fn is_first_of(&self, key: &[u8], record: &CertificateRecord) -> bool {
        let Some(pattern) = &self.several else { return true };
        let in_key = |name: &Name| match self.index {
            Index::Suffix => reversed(&name.to_string()),
            _ => name.to_string(),
        };
        let first = names(record).filter(|name| pattern.fits(name)).map(in_key).min();
        first.is_some_and(|first| {
            key.strip_suffix(&record.serial.as_bytes()[..]) == Some(&[first.as_bytes(), &[0]].concat()[..])
        })
    }

    /// Where the plan goes on after `cursor`, if the cursor is one of its own.
    pub(super) fn resume<'a>(&self, cursor: &'a Cursor) -> Option<&'a [u8]> {
        let ours = cursor.index == self.index as u8 && self.first <= cursor.key && cursor.key < self.end;
        ours.then_some(&cursor.key)
    }

    /// The cursor for a place that was reached.
    pub(super) fn cursor(&self, at: &Bound<Vec<u8>>) -> Option<Cursor> {
        match at {
            Bound::Excluded(key) => Some(Cursor { index: self.index as u8, key: key.clone() }),
            Bound::Included(_) | Bound::Unbounded => None,
        }
    }
}

/// After every serial number, and after every time and what follows it.
const AFTER_ALL: [u8; 29] = [u8::MAX; 29];
