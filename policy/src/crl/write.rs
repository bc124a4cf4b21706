//! The writer: one pass over the entries, whatever their number.

use std::io::{Seek, SeekFrom, Write};

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::Encode;
use der::asn1::{Ia5String, ObjectIdentifier, OctetString, Uint};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::crl::{BaseCrlNumber, CrlNumber, FreshestCrl};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::{CrlError, Draft, Entry, Scope, unusable};
use crate::asn1;
use crate::serial::Serial;
use crate::time::{Form, write_time};
use crate::tlv;

/// Writes a TBSCertList (RFC 5280 section 5.1.2) to something that can be written to in two places:
/// the entries first, and then, when their length is known, what stands before them.
pub struct Writer<W> {
    out: W,
    /// version to nextUpdate.
    head: Vec<u8>,
    /// The extensions.
    tail: Vec<u8>,
    room: u64,
    entries: u64,
    octets: u64,
    last: Option<Serial>,
    buffer: Vec<u8>,
}

/// Where a TBSCertList stands in what it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Octets before it, which mean nothing.
    pub start: u64,
    /// Its octets.
    pub length: u64,
    /// How many certificates it lists.
    pub entries: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins at the position where `out` is, which must be 0. Fails when the draft contradicts
    /// itself, or `out` does.
    pub fn begin(draft: &Draft<'_>, mut out: W) -> Result<Self, CrlError> {
        let head = head(draft).map_err(|error| unusable(error.to_string()))?;
        let tail = tail(draft)?;
        let room = (2 * tlv::MAX_HEADER + head.len()) as u64;
        out.write_all(&vec![0; room as usize])?;
        Ok(Self { out, head, tail, room, entries: 0, octets: 0, last: None, buffer: Vec::with_capacity(128) })
    }

    /// Adds an entry. Serials come in ascending order, each once.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), CrlError> {
        if self.last.is_some_and(|last| last >= entry.serial) {
            return Err(unusable("its entries do not come in the order of their serial numbers"));
        }
        self.buffer.clear();
        entry.write(&mut self.buffer).map_err(|error| unusable(error.to_string()))?;
        self.out.write_all(&self.buffer)?;
        self.octets += self.buffer.len() as u64;
        self.entries += 1;
        self.last = Some(entry.serial);
        Ok(())
    }

    /// Writes what is left and gives back what was written to, flushed.
    pub fn finish(mut self) -> Result<(W, Written), CrlError> {
        self.out.write_all(&self.tail)?;
        // An empty list is left out (section 5.1.2.6).
        let list = if self.entries == 0 { 0 } else { tlv::header_len(self.octets) as u64 + self.octets };
        let contents = self.head.len() as u64 + list + self.tail.len() as u64;
        if contents > u64::from(u32::MAX) {
            return Err(unusable("it has more than 4 GiB: divide the issuer's certificates into shards"));
        }
        let mut front = Vec::with_capacity(self.room as usize);
        tlv::header(&mut front, tlv::SEQUENCE, contents);
        front.extend_from_slice(&self.head);
        if self.entries > 0 {
            tlv::header(&mut front, tlv::SEQUENCE, self.octets);
        }
        let start = self.room - front.len() as u64;
        self.out.seek(SeekFrom::Start(start))?;
        self.out.write_all(&front)?;
        self.out.flush()?;
        let length = tlv::header_len(contents) as u64 + contents;
        Ok((self.out, Written { start, length, entries: self.entries }))
    }
}

fn head(draft: &Draft<'_>) -> der::Result<Vec<u8>> {
    const V2: [u8; 3] = [tlv::INTEGER, 1, 1];
    let mut out = V2.to_vec();
    let scheme = draft.issuer.key().certificate_scheme();
    asn1::signature_algorithm(scheme).encode_to_vec(&mut out)?;
    draft.issuer.subject().encode_to_vec(&mut out)?;
    write_time(draft.this_update, Form::Either, &mut out)?;
    write_time(draft.next_update, Form::Either, &mut out)?;
    Ok(out)
}

fn tail(draft: &Draft<'_>) -> Result<Vec<u8>, CrlError> {
    if draft.urls.is_empty() != (draft.scope == Scope::All) {
        return Err(unusable("a shard repeats the URLs by which certificates name it, and nothing else has any"));
    }
    if draft.base.is_some() && draft.freshest.is_some() {
        return Err(unusable("a delta CRL does not name another one (RFC 5280 section 5.2.6)"));
    }
    let extensions = extensions(draft).map_err(|error| unusable(error.to_string()))?;
    let mut out = Vec::new();
    tlv::element(&mut out, tlv::context(0), &extensions);
    Ok(out)
}

fn extensions(draft: &Draft<'_>) -> der::Result<Vec<u8>> {
    let key_identifier = Some(OctetString::new(draft.issuer.key_identifier())?);
    let authority = AuthorityKeyIdentifier { key_identifier, ..Default::default() };
    let mut list = vec![
        extension(&authority, Criticality::NonCritical)?,
        extension(&CrlNumber(uint(draft.number)?), Criticality::NonCritical)?,
    ];
    if let Some(base) = draft.base {
        list.push(extension(&BaseCrlNumber(uint(base)?), Criticality::Critical)?);
    }
    if !draft.urls.is_empty() {
        let point = IssuingDistributionPoint {
            distribution_point: Some(full_name(draft.urls)?),
            only_contains_user_certs: false,
            only_contains_ca_certs: false,
            only_some_reasons: None,
            indirect_crl: false,
            only_contains_attribute_certs: false,
        };
        // The crate names another object identifier for this type.
        list.push(encoded(ID_CE_ISSUING_DISTRIBUTION_POINT, &point, Criticality::Critical)?);
    }
    if let Some(url) = draft.freshest {
        let point = DistributionPoint { distribution_point: Some(full_name(&[url])?), reasons: None, crl_issuer: None };
        list.push(extension(&FreshestCrl(vec![point]), Criticality::NonCritical)?);
    }
    list.to_der()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Criticality {
    Critical,
    NonCritical,
}

fn extension<T: AssociatedOid + Encode>(value: &T, criticality: Criticality) -> der::Result<Extension> {
    encoded(T::OID, value, criticality)
}

fn encoded(extn_id: ObjectIdentifier, value: &impl Encode, criticality: Criticality) -> der::Result<Extension> {
    let extn_value = OctetString::new(value.to_der()?)?;
    Ok(Extension { extn_id, critical: criticality == Criticality::Critical, extn_value })
}

fn full_name(urls: &[impl AsRef<str>]) -> der::Result<DistributionPointName> {
    let name = |url: &str| Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(url)?));
    Ok(DistributionPointName::FullName(urls.iter().map(|url| name(url.as_ref())).collect::<der::Result<_>>()?))
}

fn uint(number: u64) -> der::Result<Uint> {
    Uint::new(&number.to_be_bytes())
}
