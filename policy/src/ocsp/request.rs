//! Requests: total, bounded, and lenient where RFC 6960 lets a responder look away.

use super::read::{extensions, only, optional, required};
use super::{CertId, NONCE, Nonce, OcspError};
use crate::tlv;

/// What a client asks. Who asks (requestorName) and with what signature is not looked at: everybody
/// may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The certificates, in the order of the request; at least one.
    pub ids: Vec<CertId>,
    /// The nonce, if there is one.
    pub nonce: Option<Nonce>,
}

impl Request {
    /// Largest request that is read, in octets.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Most certificates in one request. RFC 5019 section 2.1.1 has one.
    pub const MOST_IDS: usize = 32;

    /// Reads an OCSPRequest (RFC 6960 section 4.1.1), DER. Every error means malformedRequest.
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        const WHY: &str = "it is not an OCSPRequest";
        if der.len() > Self::MAX_LEN {
            return Err(OcspError::Der("it is larger than 16 KiB"));
        }
        let (tbs, rest) = required(only(der, tlv::SEQUENCE, WHY)?, tlv::SEQUENCE, WHY)?;
        let (_signature, rest) = optional(rest, tlv::context(0))?;
        if !rest.is_empty() {
            return Err(OcspError::Der(WHY));
        }
        let (version, rest) = optional(tbs, tlv::context(0))?;
        if version.is_some_and(|version| version != [tlv::INTEGER, 1, 0]) {
            return Err(OcspError::Der("it is not of version 1"));
        }
        let (_requestor, rest) = optional(rest, tlv::context(1))?;
        let (list, rest) = required(rest, tlv::SEQUENCE, WHY)?;
        let (about, rest) = optional(rest, tlv::context(2))?;
        if !rest.is_empty() {
            return Err(OcspError::Der(WHY));
        }
        Ok(Self { ids: ids(list)?, nonce: about.map(nonce).transpose()?.flatten() })
    }
}

fn ids(mut list: &[u8]) -> Result<Vec<CertId>, OcspError> {
    const WHY: &str = "a request for one certificate does not decode";
    let mut ids = Vec::new();
    while !list.is_empty() {
        let (one, next) = required(list, tlv::SEQUENCE, WHY)?;
        let (id, rest) = required(one, tlv::SEQUENCE, WHY)?;
        let (about, rest) = optional(rest, tlv::context(0))?;
        if !rest.is_empty() {
            return Err(OcspError::Der(WHY));
        }
        if let Some(about) = about {
            // Those that are defined (a locator, preferred algorithms) change nothing of the answer.
            known(&extensions(about)?, &[])?;
        }
        if ids.len() == Request::MOST_IDS {
            return Err(OcspError::Der("it asks for more than 32 certificates"));
        }
        ids.push(CertId::read(id)?);
        list = next;
    }
    if ids.is_empty() { Err(OcspError::Der("it asks for no certificate")) } else { Ok(ids) }
}

fn nonce(about: &[u8]) -> Result<Option<Nonce>, OcspError> {
    let list = extensions(about)?;
    known(&list, &NONCE)?;
    let Some(extension) = list.iter().find(|extension| extension.oid == NONCE) else { return Ok(None) };
    let octets = only(extension.value, tlv::OCTET_STRING, "the nonce does not decode")?;
    Nonce::new(octets).map(Some).ok_or(OcspError::Der("the nonce does not have 1 to 128 octets"))
}

/// Whether all critical extensions are this one.
fn known(list: &[super::read::Extension<'_>], oid: &[u8]) -> Result<(), OcspError> {
    match list.iter().all(|extension| !extension.is_critical || extension.oid == oid) {
        true => Ok(()),
        false => Err(OcspError::Der("it has a critical extension that is not known here")),
    }
}
