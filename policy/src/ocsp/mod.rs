//! OCSP (RFC 6960, with the profile of RFC 5019 and the nonces of RFC 9654): requests read, responses
//! drafted, linted, put together, and read again.
//!
//! [`Request`] is what a client sends, [`ResponseData`] what is signed, [`check`] reads it with every
//! lint, [`assemble`] makes the response of it, and [`BasicResponse`] reads that.

mod basic;
mod cert_id;
mod lint;
mod read;
mod request;
mod response_data;
#[cfg(test)]
mod tests;

pub use basic::{BasicResponse, assemble};
pub use cert_id::{CertId, HashAlgorithm, responder_id};
pub use lint::check;
pub use request::Request;
pub use response_data::{ResponseData, SingleResponse, Status};

use std::fmt;

use crate::lint::Finding;

/// A response that says that there is none, RFC 6960 section 2.3. It is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// 1: the bytes are not a request.
    MalformedRequest,
    /// 2: something is wrong here.
    InternalError,
    /// 3: not now.
    TryLater,
    /// 5: requests must be signed.
    SigRequired,
    /// 6: this responder does not answer for that certificate (RFC 5019 section 2.2.3).
    Unauthorized,
}

impl ErrorStatus {
    /// The whole OCSPResponse, DER.
    pub fn response(self) -> [u8; 5] {
        [0x30, 3, 0x0a, 1, self.code()]
    }

    fn code(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::SigRequired => 5,
            Self::Unauthorized => 6,
        }
    }
}

/// The value of a nonce extension: 1 to 128 octets (RFC 9654 section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// Most octets.
    pub const MOST: usize = 128;

    /// Takes the octets; none if they are too few or too many.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=Self::MOST).contains(&octets.len()).then(|| Self(octets.to_vec()))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a request or response is not made, or not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OcspError {
    /// The bytes are not what RFC 6960 describes, or not what was asked for.
    Der(&'static str),
    /// The response is none: its status says why.
    Error(ErrorStatus),
    /// A lint found something.
    Lint(Vec<Finding>),
    /// The signature is not one by a responder of this issuer.
    Signature(&'static str),
}

impl fmt::Display for OcspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Der(why) => write!(f, "the OCSP message is not usable: {why}"),
            Self::Error(status) => write!(f, "the OCSP response is an error: {status:?}"),
            Self::Lint(findings) => {
                let first = findings.first().map(ToString::to_string).unwrap_or_default();
                write!(f, "the OCSP response would break {} rule(s), first: {first}", findings.len())
            }
            Self::Signature(why) => write!(f, "the OCSP response is not signed as it must be: {why}"),
        }
    }
}

impl std::error::Error for OcspError {}

/// id-pkix-ocsp, 1.3.6.1.5.5.7.48.1, and one more arc.
const fn id_pkix_ocsp(arc: u8) -> [u8; 9] {
    [0x2b, 6, 1, 5, 5, 7, 48, 1, arc]
}

/// id-pkix-ocsp-basic.
const BASIC: [u8; 9] = id_pkix_ocsp(1);

/// id-pkix-ocsp-nonce.
const NONCE: [u8; 9] = id_pkix_ocsp(2);

/// id-pkix-ocsp-archive-cutoff.
const ARCHIVE_CUTOFF: [u8; 9] = id_pkix_ocsp(6);

/// id-pkix-ocsp-extended-revoke.
const EXTENDED_REVOKE: [u8; 9] = id_pkix_ocsp(9);
