//! One entry of a CRL.

use super::Reason;
use crate::effects::UnixTime;
use crate::serial::Serial;
use crate::time::{Form, write_time};
use crate::tlv;

/// One revoked certificate, RFC 5280 section 5.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub serial: Serial,
    /// When the revocation took effect.
    pub at: UnixTime,
    /// What the entry says of it.
    pub mark: Mark,
    /// When the key was lost, or the certificate otherwise became invalid, if that is known.
    pub invalidity_date: Option<UnixTime>,
}

/// What an entry says of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// In a delta CRL: it is not listed any more, because a hold was taken back or it has expired.
    Removed,
    /// It is revoked.
    Revoked(Reason),
}

impl Mark {
    /// CRLReason, RFC 5280 section 5.3.1; `None` where the extension is left out.
    pub(super) fn code(self) -> Option<u8> {
        match self {
            Self::Removed => Some(REMOVE_FROM_CRL),
            Self::Revoked(Reason::Unspecified) => None,
            Self::Revoked(reason) => Some(reason.code()),
        }
    }
}

impl Entry {
    /// Appends the DER to `out`. Fails for a time after 9999.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> der::Result<()> {
        let (mut at, mut invalid) = (Vec::with_capacity(17), Vec::new());
        write_time(self.at, Form::Either, &mut at)?;
        if let Some(date) = self.invalidity_date {
            write_time(date, Form::Generalized, &mut invalid)?;
        }
        tlv::nested(out, tlv::SEQUENCE, |out| {
            tlv::element(out, tlv::INTEGER, self.serial.der_octets());
            out.extend_from_slice(&at);
            let code = self.mark.code();
            if code.is_none() && invalid.is_empty() {
                return;
            }
            tlv::nested(out, tlv::SEQUENCE, |out| {
                if let Some(code) = code {
                    extension(out, &REASON_CODE, &[tlv::ENUMERATED, 1, code]);
                }
                if !invalid.is_empty() {
                    extension(out, &INVALIDITY_DATE, &invalid);
                }
            });
        });
        Ok(())
    }
}

fn extension(out: &mut Vec<u8>, oid: &[u8], value: &[u8]) {
    tlv::nested(out, tlv::SEQUENCE, |out| {
        tlv::element(out, tlv::OBJECT_IDENTIFIER, oid);
        tlv::element(out, tlv::OCTET_STRING, value);
    });
}

/// removeFromCRL.
pub(super) const REMOVE_FROM_CRL: u8 = 8;

/// id-ce-cRLReasons, 2.5.29.21.
pub(super) const REASON_CODE: [u8; 3] = [0x55, 0x1d, 21];

/// id-ce-invalidityDate, 2.5.29.24.
pub(super) const INVALIDITY_DATE: [u8; 3] = [0x55, 0x1d, 24];
