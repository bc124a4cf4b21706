//! One entry as it stands in a CRL.

use super::entry::{INVALIDITY_DATE, REASON_CODE, REMOVE_FROM_CRL};
use super::{Entry, Mark, Reason};
use crate::effects::UnixTime;
use crate::serial::Serial;
use crate::time::read_time;
use crate::tlv;

/// An entry taken apart once, and not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawEntry<'a> {
    /// Contents of the INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) date: RawTime<'a>,
    /// The extensions, if there is a list of them.
    pub(super) extensions: Option<RawExtensions<'a>>,
}

/// A time as it was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawTime<'a> {
    pub(super) tag: u8,
    pub(super) text: &'a [u8],
}

/// The extensions of an entry: the values of those that are known, and what is odd about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RawExtensions<'a> {
    pub(super) reason: Option<&'a [u8]>,
    pub(super) invalidity_date: Option<&'a [u8]>,
    /// How many there are.
    pub(super) count: u32,
    /// Whether one of the known ones stands twice.
    pub(super) has_doubles: bool,
    /// Whether there is an unknown one.
    pub(super) has_others: bool,
    /// Whether one is critical.
    pub(super) has_critical: bool,
}

impl<'a> RawEntry<'a> {
    /// Takes the contents of an entry's SEQUENCE apart.
    pub(super) fn read(contents: &'a [u8]) -> Option<Self> {
        let (tlv::INTEGER, serial, rest) = tlv::split(contents)? else { return None };
        let (tag @ (tlv::UTC_TIME | tlv::GENERALIZED_TIME), text, rest) = tlv::split(rest)? else { return None };
        let extensions = match rest {
            [] => None,
            rest => match tlv::split(rest)? {
                (tlv::SEQUENCE, extensions, []) => Some(RawExtensions::read(extensions)?),
                _ => return None,
            },
        };
        Some(Self { serial, date: RawTime { tag, text }, extensions })
    }

    /// The value of the reason code.
    pub(super) fn reason(&self) -> Option<&'a [u8]> {
        self.extensions?.reason
    }

    /// The value of the invalidity date.
    pub(super) fn invalidity_date(&self) -> Option<&'a [u8]> {
        self.extensions?.invalidity_date
    }

    /// Whether it says removeFromCRL.
    pub(super) fn is_removal(&self) -> bool {
        self.reason() == Some(&[tlv::ENUMERATED, 1, REMOVE_FROM_CRL])
    }

    /// What it says, if it is an entry that Signet could have written.
    pub(super) fn to_entry(self) -> Option<Entry> {
        let mark = match self.reason() {
            None => Mark::Revoked(Reason::Unspecified),
            Some([tlv::ENUMERATED, 1, REMOVE_FROM_CRL]) => Mark::Removed,
            Some([tlv::ENUMERATED, 1, code]) => Mark::Revoked(Reason::try_from(*code).ok()?),
            Some(_) => return None,
        };
        let invalidity_date = match self.invalidity_date() {
            None => None,
            Some(value) => match tlv::split(value)? {
                (tlv::GENERALIZED_TIME, text, []) => Some(RawTime { tag: tlv::GENERALIZED_TIME, text }.read()?),
                _ => return None,
            },
        };
        Some(Entry { serial: Serial::from_slice(self.serial).ok()?, at: self.date.read()?, mark, invalidity_date })
    }
}

impl<'a> RawExtensions<'a> {
    /// Takes the contents of the list apart.
    pub(super) fn read(mut rest: &'a [u8]) -> Option<Self> {
        let mut all = Self::default();
        while !rest.is_empty() {
            let (tlv::SEQUENCE, contents, next) = tlv::split(rest)? else { return None };
            let (tlv::OBJECT_IDENTIFIER, oid, after) = tlv::split(contents)? else { return None };
            let value = match tlv::split(after)? {
                (tlv::OCTET_STRING, value, []) => value,
                // DER leaves FALSE, the default, out.
                (tlv::BOOLEAN, [0xff], after) => match tlv::split(after)? {
                    (tlv::OCTET_STRING, value, []) => {
                        all.has_critical = true;
                        value
                    }
                    _ => return None,
                },
                _ => return None,
            };
            let known = match oid {
                oid if oid == REASON_CODE => Some(&mut all.reason),
                oid if oid == INVALIDITY_DATE => Some(&mut all.invalidity_date),
                _ => None,
            };
            match known {
                Some(known) => all.has_doubles |= known.replace(value).is_some(),
                None => all.has_others = true,
            }
            all.count += 1;
            rest = next;
        }
        Some(all)
    }
}

impl RawTime<'_> {
    /// The time, if it is in one of the two forms that RFC 5280 allows.
    pub(super) fn read(self) -> Option<UnixTime> {
        read_time(self.tag, self.text)
    }
}
