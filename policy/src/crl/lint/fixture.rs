//! CRLs for the tests of lints: sound ones from the writer, spoilt part by part.

use std::io::Cursor;

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::asn1::{Any, Ia5String, OctetString};
use der::{Decode, Encode, Tag, TagNumber};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::FreshestCrl;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::{EntryLint, EntrySubject, Lint, Subject};
use crate::crl::raw_entry::{RawEntry, RawExtensions, RawTime};
use crate::crl::read::{self, Raw, Source};
use crate::crl::{Draft, Entry, Mark, Reason, Scope, Shard, Writer};
use crate::key::KeyAlgorithm;
use crate::tbs::Issuer;
use crate::testing::{DAY, Hierarchy, NOW, serial};
use crate::tlv;

/// The number of every fixture.
pub(super) const NUMBER: u64 = NOW.0;

/// [`NOW`] as UTCTime.
pub(super) const THIS_UPDATE: &[u8] = b"261123000000Z";

pub(super) struct Fixture {
    raw: Raw,
    issuer: Issuer,
}

/// A CRL of everything, with one entry.
pub(super) fn complete() -> Fixture {
    fixture(Scope::All, None, &[], &[listed()])
}

/// The same without the entry.
pub(super) fn empty() -> Fixture {
    fixture(Scope::All, None, &[], &[])
}

/// A delta CRL.
pub(super) fn delta() -> Fixture {
    fixture(Scope::All, Some(NUMBER - 9), &[], &[listed()])
}

/// One of sixteen shards.
pub(super) fn shard() -> Fixture {
    let shard = Shard::of(listed().serial, std::num::NonZeroU16::new(16).unwrap());
    fixture(Scope::Shard(shard), None, &["http://pki.example.test/1-of-16.crl".to_owned()], &[listed()])
}

fn listed() -> Entry {
    let (at, mark) = (NOW.minus(60), Mark::Revoked(Reason::KeyCompromise));
    Entry { serial: serial(1), at, mark, invalidity_date: Some(NOW.minus(DAY)) }
}

fn fixture(scope: Scope, base: Option<u64>, urls: &[String], entries: &[Entry]) -> Fixture {
    let issuer = Hierarchy::new(KeyAlgorithm::P256).issuing;
    let (this_update, next_update) = (NOW, NOW.plus(7 * DAY));
    let draft = Draft { issuer: &issuer, number: NUMBER, this_update, next_update, scope, base, urls, freshest: None };
    let mut writer = Writer::begin(&draft, Cursor::new(Vec::new())).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    let (written, place) = writer.finish().unwrap();
    let mut source = Source::new(&written.get_ref()[place.start as usize..]);
    let raw = read::read(&mut source, &mut |_, _, _| Ok(())).unwrap();
    Fixture { raw, issuer }
}

pub(super) fn full_name(url: &str) -> DistributionPointName {
    DistributionPointName::FullName(vec![GeneralName::UniformResourceIdentifier(Ia5String::new(url).unwrap())])
}

pub(super) fn freshest(url: &str) -> FreshestCrl {
    FreshestCrl(vec![DistributionPoint { distribution_point: Some(full_name(url)), reasons: None, crl_issuer: None }])
}

/// The tag of the list of extensions.
pub(super) fn extensions_tag() -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(0) }
}

impl Fixture {
    /// The same with a change.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Raw)) -> Self {
        change(&mut self.raw);
        self
    }

    /// The same with other extensions.
    pub(super) fn with_extensions(self, change: impl FnOnce(&mut Vec<Extension>)) -> Self {
        self.with(|raw| {
            let mut extensions = raw.extensions();
            change(&mut extensions);
            raw.extensions = Some(Any::new(extensions_tag(), extensions.to_der().unwrap()).unwrap());
        })
    }

    /// The same with another value for this extension, which is added if it is not there.
    pub(super) fn with_value<T: AssociatedOid + Encode>(self, value: &T) -> Self {
        let extn_value = OctetString::new(value.to_der().unwrap()).unwrap();
        self.with_extensions(|all| match all.iter_mut().find(|extension| extension.extn_id == T::OID) {
            Some(extension) => extension.extn_value = extn_value,
            None => all.push(Extension { extn_id: T::OID, critical: false, extn_value }),
        })
    }

    /// The same without this extension.
    pub(super) fn without<T: AssociatedOid>(self) -> Self {
        self.with_extensions(|all| all.retain(|extension| extension.extn_id != T::OID))
    }

    /// The same with a change of the issuing distribution point, which must be there.
    pub(super) fn with_point(self, change: impl FnOnce(&mut IssuingDistributionPoint)) -> Self {
        self.with_extensions(|all| {
            let extension = all.iter_mut().find(|one| one.extn_id == ID_CE_ISSUING_DISTRIBUTION_POINT).unwrap();
            let mut point = IssuingDistributionPoint::from_der(extension.extn_value.as_bytes()).unwrap();
            change(&mut point);
            extension.extn_value = OctetString::new(point.to_der().unwrap()).unwrap();
        })
    }

    #[track_caller]
    pub(super) fn passes(&self, lint: &Lint) {
        assert_eq!((lint.check)(&Subject { raw: &self.raw, issuer: &self.issuer }), Ok(()), "{}", lint.name);
    }

    /// The lint finds something, and its detail holds this text.
    #[track_caller]
    pub(super) fn fails(&self, lint: &Lint, fragment: &str) {
        let detail = (lint.check)(&Subject { raw: &self.raw, issuer: &self.issuer }).expect_err(lint.name);
        assert!(detail.contains(fragment), "{}: {detail}", lint.name);
    }
}

/// One entry, and the serial number before it.
pub(super) struct EntryFixture {
    previous: Vec<u8>,
    serial: Vec<u8>,
    date: (u8, Vec<u8>),
    extensions: Option<Vec<u8>>,
}

/// The entry of the other fixtures.
pub(super) fn entry() -> EntryFixture {
    let mut der = Vec::new();
    listed().write(&mut der).unwrap();
    let (_, contents, _) = tlv::split(&der).unwrap();
    let (_, serial, rest) = tlv::split(contents).unwrap();
    let (tag, text, rest) = tlv::split(rest).unwrap();
    let (_, extensions, _) = tlv::split(rest).unwrap();
    EntryFixture {
        previous: Vec::new(),
        serial: serial.to_vec(),
        date: (tag, text.to_vec()),
        extensions: Some(extensions.to_vec()),
    }
}

impl EntryFixture {
    /// With these serial numbers; nothing before it if the first one is empty.
    pub(super) fn with_serials(mut self, previous: &[u8], serial: &[u8]) -> Self {
        (self.previous, self.serial) = (previous.to_vec(), serial.to_vec());
        self
    }

    pub(super) fn with_date(mut self, tag: u8, text: &[u8]) -> Self {
        self.date = (tag, text.to_vec());
        self
    }

    /// With these contents of the list of extensions.
    pub(super) fn with_extensions(mut self, extensions: Option<&[u8]>) -> Self {
        self.extensions = extensions.map(<[u8]>::to_vec);
        self
    }

    fn check(&self, lint: &EntryLint) -> Result<(), String> {
        let date = RawTime { tag: self.date.0, text: &self.date.1 };
        let extensions = self.extensions.as_deref().map(|list| RawExtensions::read(list).unwrap());
        let entry = RawEntry { serial: &self.serial, date, extensions };
        let previous = (!self.previous.is_empty()).then_some(self.previous.as_slice());
        (lint.check)(&EntrySubject { entry: &entry, date: date.read(), previous, this_update: Some(NOW) })
    }

    #[track_caller]
    pub(super) fn passes(&self, lint: &EntryLint) {
        assert_eq!(self.check(lint), Ok(()), "{}", lint.name);
    }

    #[track_caller]
    pub(super) fn fails(&self, lint: &EntryLint, fragment: &str) {
        let detail = self.check(lint).expect_err(lint.name);
        assert!(detail.contains(fragment), "{}: {detail}", lint.name);
    }
}
