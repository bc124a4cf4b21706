//! The signed CRL around its to-be-signed bytes.

use der::Encode;
use der::asn1::BitStringRef;

use super::{CrlError, unusable};
use crate::asn1;
use crate::key::SignatureScheme;
use crate::tlv;

/// What stands before and behind a TBSCertList in a CertificateList (RFC 5280 section 5.1). The file
/// is `head`, the TBSCertList, `tail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Before the TBSCertList.
    pub head: Vec<u8>,
    /// Behind it: algorithm and signature.
    pub tail: Vec<u8>,
}

impl Envelope {
    /// The envelope for `length` octets of TBSCertList.
    pub fn new(length: u64, scheme: SignatureScheme, signature: &[u8]) -> Result<Self, CrlError> {
        let algorithm =
            asn1::signature_algorithm(scheme).ok_or_else(|| unusable("no CRL is signed with such a scheme"))?;
        let tail = BitStringRef::from_bytes(signature).and_then(|signature| {
            let mut tail = algorithm.to_der()?;
            signature.encode_to_vec(&mut tail)?;
            Ok(tail)
        });
        let tail = tail.map_err(|error| unusable(error.to_string()))?;
        let mut head = Vec::with_capacity(tlv::MAX_HEADER);
        tlv::header(&mut head, tlv::SEQUENCE, length + tail.len() as u64);
        Ok(Self { head, tail })
    }
}
