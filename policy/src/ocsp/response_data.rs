//! What a responder signs.

use super::read::{extensions, only, optional, required};
use super::{ARCHIVE_CUTOFF, CertId, EXTENDED_REVOKE, NONCE, Nonce, OcspError};
use crate::crl::Reason;
use crate::effects::UnixTime;
use crate::time::{Form, read_time, write_time};
use crate::tlv;

/// ResponseData, RFC 6960 section 4.2.1. The responder names itself by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseData {
    /// See [`super::responder_id`].
    pub responder: [u8; 20],
    /// When it is signed.
    pub produced_at: UnixTime,
    /// One answer for each certificate that was asked for, in that order.
    pub responses: Vec<SingleResponse>,
    /// The nonce of the request, repeated.
    pub nonce: Option<Nonce>,
    /// Says that never-issued serial numbers are answered `revoked` here (RFC 6960 section 4.4.8). To
    /// be set in every answer of such a responder.
    pub extended_revoke: bool,
}

/// The answer for one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleResponse {
    /// Which, as the client named it.
    pub id: CertId,
    /// How it is.
    pub status: Status,
    /// When that was known.
    pub this_update: UnixTime,
    /// When something newer will be known at the latest.
    pub next_update: UnixTime,
    /// Since when expired certificates are remembered (RFC 6960 section 4.4.4).
    pub archive_cutoff: Option<UnixTime>,
}

/// CertStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is revoked, or on hold.
    Revoked {
        /// Since when.
        at: UnixTime,
        /// Why; `None` where there is nothing to say.
        reason: Option<Reason>,
    },
    /// Nothing is known of it.
    Unknown,
}

impl Status {
    /// A serial number that was never issued, where that is answered `revoked` (RFC 6960 section
    /// 2.2): on hold since 1970.
    pub const NEVER_ISSUED: Self = Self::Revoked { at: UnixTime(0), reason: Some(Reason::CertificateHold) };
}

impl ResponseData {
    /// Largest ResponseData that is read, in octets.
    pub const MAX_LEN: usize = 16 * 1024;

    /// The DER. Fails for a time after 9999.
    pub fn to_der(&self) -> Result<Vec<u8>, OcspError> {
        let time = |time| {
            let mut out = Vec::with_capacity(17);
            write_time(time, Form::Generalized, &mut out)
                .map(|()| out)
                .map_err(|_| OcspError::Der("a time is too late for ASN.1"))
        };
        let produced_at = time(self.produced_at)?;
        let mut responses = Vec::new();
        for response in &self.responses {
            response.write(&mut responses, &time)?;
        }
        let mut out = Vec::new();
        tlv::nested(&mut out, tlv::SEQUENCE, |out| {
            tlv::nested(out, tlv::context(2), |out| tlv::element(out, tlv::OCTET_STRING, &self.responder));
            out.extend_from_slice(&produced_at);
            tlv::element(out, tlv::SEQUENCE, &responses);
            if self.nonce.is_none() && !self.extended_revoke {
                return;
            }
            tlv::nested(out, tlv::context(1), |out| {
                tlv::nested(out, tlv::SEQUENCE, |out| {
                    if let Some(nonce) = &self.nonce {
                        let mut value = Vec::new();
                        tlv::element(&mut value, tlv::OCTET_STRING, nonce.as_bytes());
                        extension(out, &NONCE, &value);
                    }
                    if self.extended_revoke {
                        extension(out, &EXTENDED_REVOKE, &[tlv::NULL, 0]);
                    }
                });
            });
        });
        Ok(out)
    }

    /// Reads DER that is exactly what [`ResponseData::to_der`] writes.
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        const WHY: &str = "it is not a ResponseData";
        if der.len() > Self::MAX_LEN {
            return Err(OcspError::Der("it is larger than 16 KiB"));
        }
        let (responder, rest) = required(only(der, tlv::SEQUENCE, WHY)?, tlv::context(2), WHY)?;
        let responder = only(responder, tlv::OCTET_STRING, WHY)?;
        let responder = responder.try_into().map_err(|_| OcspError::Der("the responder is not named by SHA-1"))?;
        let (produced_at, rest) = required(rest, tlv::GENERALIZED_TIME, WHY)?;
        let (mut list, rest) = required(rest, tlv::SEQUENCE, WHY)?;
        let (about, rest) = optional(rest, tlv::context(1))?;
        if !rest.is_empty() {
            return Err(OcspError::Der(WHY));
        }
        let mut responses = Vec::new();
        while !list.is_empty() {
            let (one, next) = required(list, tlv::SEQUENCE, WHY)?;
            responses.push(SingleResponse::read(one)?);
            list = next;
        }
        let (mut nonce, mut extended_revoke) = (None, false);
        for extension in about.map(extensions).transpose()?.unwrap_or_default() {
            match extension.oid {
                oid if oid == NONCE => {
                    let octets = only(extension.value, tlv::OCTET_STRING, "the nonce does not decode")?;
                    nonce = Nonce::new(octets);
                }
                oid if oid == EXTENDED_REVOKE => extended_revoke = true,
                _ => return Err(OcspError::Der("it has an extension that is not written here")),
            }
        }
        let data = Self { responder, produced_at: time(produced_at)?, responses, nonce, extended_revoke };
        // One value, one encoding: what differs is none of ours.
        if data.to_der()? == der {
            Ok(data)
        } else {
            Err(OcspError::Der("it is not in the one encoding that is written"))
        }
    }
}

impl SingleResponse {
    fn write(
        &self,
        out: &mut Vec<u8>,
        time: &impl Fn(UnixTime) -> Result<Vec<u8>, OcspError>,
    ) -> Result<(), OcspError> {
        let (this_update, next_update) = (time(self.this_update)?, time(self.next_update)?);
        let cutoff = self.archive_cutoff.map(time).transpose()?;
        let mut status = Vec::new();
        match self.status {
            Status::Good => tlv::element(&mut status, GOOD, &[]),
            Status::Revoked { at, reason } => {
                let at = time(at)?;
                tlv::nested(&mut status, tlv::context(1), |out| {
                    out.extend_from_slice(&at);
                    if let Some(reason) = reason {
                        tlv::element(out, tlv::context(0), &[tlv::ENUMERATED, 1, reason.code()]);
                    }
                });
            }
            Status::Unknown => tlv::element(&mut status, UNKNOWN, &[]),
        }
        tlv::nested(out, tlv::SEQUENCE, |out| {
            out.extend_from_slice(self.id.as_der());
            out.extend_from_slice(&status);
            out.extend_from_slice(&this_update);
            tlv::element(out, tlv::context(0), &next_update);
            if let Some(cutoff) = &cutoff {
                tlv::nested(out, tlv::context(1), |out| {
                    tlv::nested(out, tlv::SEQUENCE, |out| extension(out, &ARCHIVE_CUTOFF, cutoff));
                });
            }
        });
        Ok(())
    }

    fn read(contents: &[u8]) -> Result<Self, OcspError> {
        const WHY: &str = "an answer does not decode";
        let (id, rest) = required(contents, tlv::SEQUENCE, WHY)?;
        let (tag, status, rest) = tlv::split(rest).ok_or(OcspError::Der(WHY))?;
        let status = match tag {
            GOOD => Status::Good,
            UNKNOWN => Status::Unknown,
            REVOKED => {
                let (at, rest) = required(status, tlv::GENERALIZED_TIME, WHY)?;
                let (reason, _) = optional(rest, tlv::context(0))?;
                let reason = match reason {
                    None => None,
                    Some([tlv::ENUMERATED, 1, code]) => {
                        Some(Reason::try_from(*code).map_err(|_| OcspError::Der("a reason is unknown"))?)
                    }
                    Some(_) => return Err(OcspError::Der(WHY)),
                };
                Status::Revoked { at: time(at)?, reason }
            }
            _ => return Err(OcspError::Der(WHY)),
        };
        let (this_update, rest) = required(rest, tlv::GENERALIZED_TIME, WHY)?;
        let (next_update, rest) = required(rest, tlv::context(0), "an answer has no nextUpdate")?;
        let next_update = only(next_update, tlv::GENERALIZED_TIME, WHY)?;
        let (about, _) = optional(rest, tlv::context(1))?;
        let mut archive_cutoff = None;
        for extension in about.map(extensions).transpose()?.unwrap_or_default() {
            if extension.oid == ARCHIVE_CUTOFF {
                archive_cutoff = Some(time(only(extension.value, tlv::GENERALIZED_TIME, WHY)?)?);
            }
        }
        let (this_update, next_update) = (time(this_update)?, time(next_update)?);
        Ok(Self { id: CertId::read(id)?, status, this_update, next_update, archive_cutoff })
    }
}

/// Reads the text of a GeneralizedTime.
fn time(text: &[u8]) -> Result<UnixTime, OcspError> {
    read_time(tlv::GENERALIZED_TIME, text).ok_or(OcspError::Der("a time is not of the form YYYYMMDDHHMMSSZ"))
}

fn extension(out: &mut Vec<u8>, oid: &[u8], value: &[u8]) {
    tlv::nested(out, tlv::SEQUENCE, |out| {
        tlv::element(out, tlv::OBJECT_IDENTIFIER, oid);
        tlv::element(out, tlv::OCTET_STRING, value);
    });
}

/// [0] IMPLICIT NULL.
const GOOD: u8 = 0x80;

/// [1] IMPLICIT RevokedInfo.
const REVOKED: u8 = tlv::context(1);

/// [2] IMPLICIT UnknownInfo, a NULL.
const UNKNOWN: u8 = 0x82;
