//! One entry as it stands in a CRL.

use super::entry::{INVALIDITY_DATE, REASON_CODE, REMOVE_FROM_CRL};
use super::{Entry, Mark, Reason};
use crate::asn1;
use crate::effects::UnixTime;
use crate::serial::Serial;
use crate::tlv;

/// An entry taken apart, and not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawEntry<'a> {
    /// Contents of the INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) date: RawTime<'a>,
    /// Contents of the list of extensions, if there is one.
    pub(super) extensions: Option<&'a [u8]>,
}

/// A time as it was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawTime<'a> {
    pub(super) tag: u8,
    pub(super) text: &'a [u8],
}

/// An extension as it was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawExtension<'a> {
    /// Contents of the OBJECT IDENTIFIER.
    pub(super) oid: &'a [u8],
    pub(super) is_critical: bool,
    /// Contents of the OCTET STRING.
    pub(super) value: &'a [u8],
}

impl<'a> RawEntry<'a> {
    /// Takes the contents of an entry's SEQUENCE apart.
    pub(super) fn read(contents: &'a [u8]) -> Option<Self> {
        let (tlv::INTEGER, serial, rest) = tlv::split(contents)? else { return None };
        let (tag @ (tlv::UTC_TIME | tlv::GENERALIZED_TIME), text, rest) = tlv::split(rest)? else { return None };
        let extensions = match rest {
            [] => None,
            rest => match tlv::split(rest)? {
                (tlv::SEQUENCE, extensions, []) => Some(extensions),
                _ => return None,
            },
        };
        let entry = Self { serial, date: RawTime { tag, text }, extensions };
        // Each must come apart, too.
        entry.each_extension(&mut |_| ()).then_some(entry)
    }

    /// Shows each extension; false if one does not come apart.
    pub(super) fn each_extension(&self, each: &mut dyn FnMut(RawExtension<'a>)) -> bool {
        let mut rest = self.extensions.unwrap_or_default();
        while !rest.is_empty() {
            let Some((tlv::SEQUENCE, contents, next)) = tlv::split(rest) else { return false };
            let Some(extension) = RawExtension::read(contents) else { return false };
            each(extension);
            rest = next;
        }
        true
    }

    /// The value of the first extension with this OID.
    pub(super) fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        let mut found = None;
        self.each_extension(&mut |extension| {
            if extension.oid == oid && found.is_none() {
                found = Some(extension.value);
            }
        });
        found
    }

    /// Whether it says removeFromCRL.
    pub(super) fn is_removal(&self) -> bool {
        self.extension(&REASON_CODE) == Some(&[tlv::ENUMERATED, 1, REMOVE_FROM_CRL])
    }

    /// What it says, if it is an entry that Signet could have written.
    pub(super) fn to_entry(self) -> Option<Entry> {
        let mark = match self.extension(&REASON_CODE) {
            None => Mark::Revoked(Reason::Unspecified),
            Some([tlv::ENUMERATED, 1, REMOVE_FROM_CRL]) => Mark::Removed,
            Some([tlv::ENUMERATED, 1, code]) => Mark::Revoked(Reason::try_from(*code).ok()?),
            Some(_) => return None,
        };
        let invalidity_date = match self.extension(&INVALIDITY_DATE) {
            None => None,
            Some(value) => match tlv::split(value)? {
                (tlv::GENERALIZED_TIME, text, []) => Some(RawTime { tag: tlv::GENERALIZED_TIME, text }.read()?),
                _ => return None,
            },
        };
        Some(Entry { serial: Serial::from_slice(self.serial).ok()?, at: self.date.read()?, mark, invalidity_date })
    }
}

impl<'a> RawExtension<'a> {
    fn read(contents: &'a [u8]) -> Option<Self> {
        let (tlv::OBJECT_IDENTIFIER, oid, rest) = tlv::split(contents)? else { return None };
        let (is_critical, rest) = match tlv::split(rest)? {
            // DER leaves FALSE, the default, out.
            (tlv::BOOLEAN, [0xff], rest) => (true, rest),
            (tlv::BOOLEAN, ..) => return None,
            _ => (false, rest),
        };
        match tlv::split(rest)? {
            (tlv::OCTET_STRING, value, []) => Some(Self { oid, is_critical, value }),
            _ => None,
        }
    }
}

impl RawTime<'_> {
    /// The time, if it is in one of the two forms that RFC 5280 allows.
    pub(super) fn read(self) -> Option<UnixTime> {
        let mut der = Vec::with_capacity(17);
        tlv::element(&mut der, self.tag, self.text);
        asn1::read_time_der(&der)
    }
}
