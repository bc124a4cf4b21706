//! The signed response around its data, and a reader for it.

use const_oid::db::rfc5280::ID_KP_OCSP_SIGNING;
use der::asn1::{BitString, BitStringRef};
use der::{Decode, Encode};
use spki::AlgorithmIdentifierOwned;

use super::read::{only, optional, required};
use super::{BASIC, ErrorStatus, OcspError, ResponseData, responder_id};
use crate::asn1;
use crate::key::SignatureScheme;
use crate::tbs::{Certificate, Issuer};
use crate::tlv;

/// A whole OCSPResponse (RFC 6960 section 4.2.1), DER: `data` as it was signed, its signature, and the
/// certificates that show who signed. They are not part of what is signed, and may be newer.
pub fn assemble(
    data: &[u8],
    scheme: SignatureScheme,
    signature: &[u8],
    certificates: &[&[u8]],
) -> Result<Vec<u8>, OcspError> {
    let algorithm = asn1::signature_algorithm(scheme)
        .and_then(|algorithm| algorithm.to_der().ok())
        .ok_or(OcspError::Der("no response is signed with such a scheme"))?;
    let signature = BitStringRef::from_bytes(signature)
        .and_then(|signature| signature.to_der())
        .map_err(|_| OcspError::Der("the signature is too long"))?;
    let mut basic = Vec::with_capacity(data.len() + signature.len() + 2048);
    tlv::nested(&mut basic, tlv::SEQUENCE, |out| {
        out.extend_from_slice(data);
        out.extend_from_slice(&algorithm);
        out.extend_from_slice(&signature);
        if !certificates.is_empty() {
            tlv::nested(out, tlv::context(0), |out| tlv::element(out, tlv::SEQUENCE, &certificates.concat()));
        }
    });
    let mut response = Vec::with_capacity(basic.len() + 64);
    tlv::nested(&mut response, tlv::SEQUENCE, |out| {
        out.extend_from_slice(&[tlv::ENUMERATED, 1, 0]);
        tlv::nested(out, tlv::context(0), |out| {
            tlv::nested(out, tlv::SEQUENCE, |out| {
                tlv::element(out, tlv::OBJECT_IDENTIFIER, &BASIC);
                tlv::element(out, tlv::OCTET_STRING, &basic);
            });
        });
    });
    Ok(response)
}

/// A response taken apart, as a relying party would.
#[derive(Clone, Debug)]
pub struct BasicResponse {
    tbs: Vec<u8>,
    data: ResponseData,
    scheme: SignatureScheme,
    signature: Vec<u8>,
    certificates: Vec<Certificate>,
}

impl BasicResponse {
    /// Largest response that is read, in octets.
    pub const MAX_LEN: usize = 64 * 1024;

    /// Reads a whole OCSPResponse, DER. One that Signet would not write is an error, and so is a
    /// response that says that there is none ([`OcspError::Error`]).
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        const WHY: &str = "it is not an OCSPResponse";
        if der.len() > Self::MAX_LEN {
            return Err(OcspError::Der("it is larger than 64 KiB"));
        }
        let (status, rest) = required(only(der, tlv::SEQUENCE, WHY)?, tlv::ENUMERATED, WHY)?;
        match (status, rest) {
            ([0], _) => {}
            ([1], []) => return Err(OcspError::Error(ErrorStatus::MalformedRequest)),
            ([2], []) => return Err(OcspError::Error(ErrorStatus::InternalError)),
            ([3], []) => return Err(OcspError::Error(ErrorStatus::TryLater)),
            ([5], []) => return Err(OcspError::Error(ErrorStatus::SigRequired)),
            ([6], []) => return Err(OcspError::Error(ErrorStatus::Unauthorized)),
            _ => return Err(OcspError::Der(WHY)),
        }
        let bytes = only(only(rest, tlv::context(0), WHY)?, tlv::SEQUENCE, WHY)?;
        let (kind, rest) = required(bytes, tlv::OBJECT_IDENTIFIER, WHY)?;
        if kind != BASIC {
            return Err(OcspError::Der("it is not of the basic type"));
        }
        let basic = only(only(rest, tlv::OCTET_STRING, WHY)?, tlv::SEQUENCE, WHY)?;
        let (data, rest) = required(basic, tlv::SEQUENCE, WHY)?;
        let (algorithm, rest) = required(rest, tlv::SEQUENCE, WHY)?;
        let (signature, rest) = required(rest, tlv::BIT_STRING, WHY)?;
        let (certificates, rest) = optional(rest, tlv::context(0))?;
        if !rest.is_empty() {
            return Err(OcspError::Der(WHY));
        }
        let whole = |tag, contents: &[u8]| {
            let mut out = Vec::new();
            tlv::element(&mut out, tag, contents);
            out
        };
        let scheme = AlgorithmIdentifierOwned::from_der(&whole(tlv::SEQUENCE, algorithm))
            .ok()
            .and_then(|algorithm| asn1::signature_scheme(&algorithm))
            .ok_or(OcspError::Der("its algorithm is unknown"))?;
        let signature = BitString::from_der(&whole(tlv::BIT_STRING, signature))
            .ok()
            .and_then(|signature| signature.as_bytes().map(<[u8]>::to_vec))
            .ok_or(OcspError::Der("its signature does not decode"))?;
        let tbs = whole(tlv::SEQUENCE, data);
        let mut all = Vec::new();
        let mut list = certificates.map(|list| only(list, tlv::SEQUENCE, WHY)).transpose()?.unwrap_or_default();
        while !list.is_empty() {
            let (one, next) = required(list, tlv::SEQUENCE, WHY)?;
            let certificate = Certificate::from_der(&whole(tlv::SEQUENCE, one));
            all.push(certificate.map_err(|_| OcspError::Der("a certificate in it does not decode"))?);
            list = next;
        }
        Ok(Self { data: ResponseData::from_der(&tbs)?, tbs, scheme, signature, certificates: all })
    }

    /// What was signed.
    pub fn data(&self) -> &ResponseData {
        &self.data
    }

    /// The certificates in it.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Verifies it: a certificate in it is the responder's, `issuer` signed that one for OCSP, and its
    /// key signed the answer (RFC 6960 section 3.2). Gives that certificate. The caller looks at times,
    /// and whether the answer is for what it asked.
    pub fn verify(&self, issuer: &Issuer) -> Result<&Certificate, OcspError> {
        let named =
            |certificate: &&Certificate| certificate.key().is_ok_and(|key| responder_id(&key) == self.data.responder);
        let responder = self
            .certificates
            .iter()
            .find(named)
            .ok_or(OcspError::Signature("the responder's certificate is not in it"))?;
        responder.verify(issuer.key()).map_err(|_| OcspError::Signature("the issuer did not certify the responder"))?;
        if !responder.has_purpose(ID_KP_OCSP_SIGNING) {
            return Err(OcspError::Signature("the responder's certificate is not for OCSP"));
        }
        let key = responder.key().map_err(|_| OcspError::Signature("the responder's key is unknown"))?;
        key.verify(self.scheme, &self.tbs, &self.signature)
            .map_err(|_| OcspError::Signature("the signature is not the responder's"))?;
        Ok(responder)
    }
}
