//! The reader: one pass, whatever the number of entries, and total.

use std::io::{BufRead, ErrorKind, Read};

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::Decode;
use der::asn1::{Any, BitString, ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::crl::{BaseCrlNumber, CrlNumber};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::name::Name;

use super::raw_entry::RawEntry;
use super::{CrlError, Entry, unusable};
use crate::asn1;
use crate::effects::UnixTime;
use crate::key::Hasher;
use crate::tbs::Issuer;
use crate::tlv;

/// What a CRL says beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its number, if it has one of ours.
    pub number: Option<u64>,
    /// For a delta CRL, the number of the complete one that it adds to.
    pub base: Option<u64>,
    /// When it was made.
    pub this_update: UnixTime,
    /// When the next one will be there at the latest.
    pub next_update: UnixTime,
    /// The URLs in its issuing distribution point.
    pub urls: Vec<String>,
    /// How many certificates it lists.
    pub entries: u64,
}

/// Reads a signed CRL of ours to its end, shows each entry to `each`, and verifies the signature with
/// the issuer's key. What Signet would not write (a foreign serial number, an unknown reason) is an
/// error, and so is a CRL of another issuer. The caller looks at the times.
pub fn verify(input: impl BufRead, issuer: &Issuer, each: &mut dyn FnMut(&Entry)) -> Result<Facts, CrlError> {
    let scheme = issuer.key().certificate_scheme();
    let mut input = Source::new(input);
    let length = input.expect(tlv::SEQUENCE)?;
    let end = input.at + length;
    input.tap = Some(Hasher::new(scheme));
    let raw = read(&mut input, &mut |_, entry, _| {
        each(&entry.to_entry().ok_or_else(|| unusable("it holds an entry that this program does not write"))?);
        Ok(())
    })?;
    let hashed = input.tap.take().expect("it was set above").finish();
    if raw.issuer != *issuer.subject() {
        return Err(unusable("another CA issued it"));
    }
    let algorithm = AlgorithmIdentifierOwned::from_der(&input.element(tlv::SEQUENCE)?).map_err(der_error)?;
    if algorithm != raw.algorithm || asn1::signature_scheme(&algorithm) != Some(scheme) {
        return Err(unusable("it names another signature algorithm than its issuer's (RFC 5280 section 5.1.1.2)"));
    }
    let signature = BitString::from_der(&input.element(tlv::BIT_STRING)?).map_err(der_error)?;
    if input.at != end || !input.is_at_end()? {
        return Err(unusable("its length is not that of its parts"));
    }
    issuer.key().verify_hashed(&hashed, signature.as_bytes().unwrap_or_default())?;
    raw.facts()
}

/// Everything but the entries, as it was encoded, in a form loose enough to hold what a lint must be
/// able to see.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) version: Option<Any>,
    pub(super) algorithm: AlgorithmIdentifierOwned,
    pub(super) issuer: Name,
    pub(super) this_update: Any,
    pub(super) next_update: Option<Any>,
    /// Whether there is a list of entries, be it empty.
    pub(super) has_list: bool,
    pub(super) extensions: Option<Any>,
    pub(super) entries: u64,
    /// How many of them remove something (a delta CRL's).
    pub(super) removals: u64,
}

impl Raw {
    /// The extensions; none if they do not decode.
    pub(super) fn extensions(&self) -> Vec<Extension> {
        self.extensions.as_ref().and_then(|list| Vec::<Extension>::from_der(list.value()).ok()).unwrap_or_default()
    }

    /// The first extension with this OID, if it is there and decodes.
    pub(super) fn decode_as<T: for<'a> Decode<'a>>(&self, oid: ObjectIdentifier) -> Option<T> {
        let extensions = self.extensions();
        T::from_der(extensions.iter().find(|extension| extension.extn_id == oid)?.extn_value.as_bytes()).ok()
    }

    pub(super) fn decode<T: AssociatedOid + for<'a> Decode<'a>>(&self) -> Option<T> {
        self.decode_as(T::OID)
    }

    pub(super) fn number(&self) -> Option<u64> {
        small(self.decode::<CrlNumber>()?.0.as_bytes())
    }

    pub(super) fn base(&self) -> Option<u64> {
        small(self.decode::<BaseCrlNumber>()?.0.as_bytes())
    }

    pub(super) fn distribution_point(&self) -> Option<IssuingDistributionPoint> {
        self.decode_as(ID_CE_ISSUING_DISTRIBUTION_POINT)
    }

    pub(super) fn facts(&self) -> Result<Facts, CrlError> {
        let time = |time: &Any| asn1::read_time(time).ok_or_else(|| unusable("a time does not decode"));
        let next_update = self.next_update.as_ref().ok_or_else(|| unusable("it has no nextUpdate"))?;
        let urls = self.distribution_point().and_then(|point| urls(point.distribution_point.as_ref()?));
        Ok(Facts {
            number: self.number(),
            base: self.base(),
            this_update: time(&self.this_update)?,
            next_update: time(next_update)?,
            urls: urls.unwrap_or_default(),
            entries: self.entries,
        })
    }
}

/// The URLs of a name that is nothing but URLs.
pub(super) fn urls(name: &DistributionPointName) -> Option<Vec<String>> {
    let DistributionPointName::FullName(names) = name else { return None };
    let url = |name: &GeneralName| match name {
        GeneralName::UniformResourceIdentifier(url) => Some(url.as_str().to_owned()),
        _ => None,
    };
    names.iter().map(url).collect()
}

fn small(octets: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes.get_mut(8usize.checked_sub(octets.len())?..)?.copy_from_slice(octets);
    Some(u64::from_be_bytes(bytes))
}

/// What is told of each entry: what stood before the list, the entry, and the serial number of the
/// one before it.
pub(super) type Each<'a> = dyn FnMut(&Raw, &RawEntry<'_>, Option<&[u8]>) -> Result<(), CrlError> + 'a;

/// Reads a TBSCertList.
pub(super) fn read<R: BufRead>(input: &mut Source<R>, each: &mut Each<'_>) -> Result<Raw, CrlError> {
    let length = input.expect(tlv::SEQUENCE)?;
    let end = input.at + length;
    let mut raw = Raw {
        version: None,
        algorithm: AlgorithmIdentifierOwned { oid: ID_CE_ISSUING_DISTRIBUTION_POINT, parameters: None },
        issuer: Name::default(),
        this_update: Any::null(),
        next_update: None,
        has_list: false,
        extensions: None,
        entries: 0,
        removals: 0,
    };
    let mut tag = input.peek()?;
    if tag == tlv::INTEGER {
        raw.version = Some(input.any()?);
        tag = input.peek()?;
    }
    if tag != tlv::SEQUENCE {
        return Err(unusable("it does not begin like a TBSCertList"));
    }
    raw.algorithm = AlgorithmIdentifierOwned::from_der(&input.element(tlv::SEQUENCE)?).map_err(der_error)?;
    raw.issuer = Name::from_der(&input.element(tlv::SEQUENCE)?).map_err(der_error)?;
    raw.this_update = input.any()?;
    if input.at < end && is_time(input.peek()?) {
        raw.next_update = Some(input.any()?);
    }
    if input.at < end && input.peek()? == tlv::SEQUENCE {
        raw.has_list = true;
        entries(input, end, &mut raw, each)?;
    }
    if input.at < end && input.peek()? == tlv::context(0) {
        raw.extensions = Some(input.any()?);
    }
    if input.at != end {
        return Err(unusable("its length is not that of its parts"));
    }
    Ok(raw)
}

fn entries<R: BufRead>(input: &mut Source<R>, end: u64, raw: &mut Raw, each: &mut Each<'_>) -> Result<(), CrlError> {
    let length = input.expect(tlv::SEQUENCE)?;
    let last = input.at + length;
    if last > end {
        return Err(unusable("its list of entries is longer than itself"));
    }
    let (mut contents, mut previous): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    while input.at < last {
        input.contents(tlv::SEQUENCE, MAX_ENTRY, &mut contents)?;
        let entry = RawEntry::read(&contents).ok_or_else(|| unusable("one of its entries does not decode"))?;
        raw.entries += 1;
        raw.removals += u64::from(entry.is_removal());
        each(raw, &entry, (raw.entries > 1).then_some(previous.as_slice()))?;
        previous.clear();
        previous.extend_from_slice(entry.serial);
    }
    if input.at != last {
        return Err(unusable("its list of entries ends within an entry"));
    }
    Ok(())
}

fn is_time(tag: u8) -> bool {
    matches!(tag, tlv::UTC_TIME | tlv::GENERALIZED_TIME)
}

/// Where octets come from; it counts them.
pub(super) struct Source<R> {
    input: R,
    pub(super) at: u64,
    /// Takes in what is read, while it is set.
    tap: Option<Hasher>,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, at: 0, tap: None }
    }

    /// The next tag, which is not taken.
    fn peek(&mut self) -> Result<u8, CrlError> {
        self.input.fill_buf()?.first().copied().ok_or_else(|| unusable("it ends too early"))
    }

    pub(super) fn is_at_end(&mut self) -> Result<bool, CrlError> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    /// The length of the next element, which must have this tag.
    fn expect(&mut self, tag: u8) -> Result<u64, CrlError> {
        match self.header()? {
            (found, length) if found == tag => Ok(length),
            _ => Err(unusable("a part of it is of another type than RFC 5280 says")),
        }
    }

    fn header(&mut self) -> Result<(u8, u64), CrlError> {
        tlv::read_header(self).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => unusable("it ends too early"),
            ErrorKind::InvalidData => unusable(error.to_string()),
            _ => CrlError::Io(error),
        })
    }

    /// The contents of the next element, which has this tag and at most `most` octets.
    fn contents(&mut self, tag: u8, most: u64, out: &mut Vec<u8>) -> Result<(), CrlError> {
        let length = self.expect(tag)?;
        self.fill(length, most, out)
    }

    fn fill(&mut self, length: u64, most: u64, out: &mut Vec<u8>) -> Result<(), CrlError> {
        if length > most {
            return Err(unusable(format!("a part of it has {length} octets, more than {most}")));
        }
        out.resize(usize::try_from(length).expect("the limits are small"), 0);
        self.read_exact(out).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => unusable("it ends too early"),
            _ => CrlError::Io(error),
        })
    }

    /// The next element, whole; it has this tag.
    fn element(&mut self, tag: u8) -> Result<Vec<u8>, CrlError> {
        let mut contents = Vec::new();
        self.contents(tag, MAX_PART, &mut contents)?;
        let mut whole = Vec::with_capacity(contents.len() + tlv::MAX_HEADER);
        tlv::element(&mut whole, tag, &contents);
        Ok(whole)
    }

    /// The next element, of any tag.
    fn any(&mut self) -> Result<Any, CrlError> {
        let (tag, length) = self.header()?;
        let mut contents = Vec::new();
        self.fill(length, MAX_PART, &mut contents)?;
        let tag = der::Tag::from_der(&[tag]).map_err(der_error)?;
        Any::new(tag, contents).map_err(der_error)
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(out)?;
        self.at += read as u64;
        if let Some(tap) = &mut self.tap {
            tap.update(&out[..read]).map_err(|error| std::io::Error::new(ErrorKind::Unsupported, error))?;
        }
        Ok(read)
    }
}

fn der_error(error: der::Error) -> CrlError {
    CrlError::Der(error.to_string())
}

/// Longest entry in octets: a serial, a time, two extensions, and room for foreign ones.
const MAX_ENTRY: u64 = 1024;

/// Longest other part in octets: a name, or the extensions with their URLs.
const MAX_PART: u64 = 64 * 1024;
