//! Signed certificates, our own and foreign ones.

use const_oid::db::rfc5280::ID_AD_CA_ISSUERS;
use der::asn1::{Any, ObjectIdentifier};
use der::pem::LineEnding;
use der::{Decode, Encode};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, CrlDistributionPoints, ExtendedKeyUsage, SubjectAltName};

use super::{TbsError, der_error, parse, unusable, validity};
use crate::asn1::{self, RawCertificate};
use crate::key::{self, BadSignature, KeyError, PublicKey};
use crate::name::Name;
use crate::validity::Validity;

/// A signed certificate: DER, parsed for the fields that are asked for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Vec<u8>,
    serial: Vec<u8>,
    validity: Validity,
    names: Vec<Name>,
    subject: String,
    issuer: String,
    spki: Any,
}

impl Certificate {
    /// Largest certificate that is read, in bytes: foreign ones may be larger than ours.
    pub const MAX_LEN: usize = 64 * 1024;

    /// Parses DER; trailing bytes are refused.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        if der.len() > Self::MAX_LEN {
            return Err(unusable("it is larger than 64 KiB"));
        }
        let outer = RawCertificate::from_der(der).map_err(der_error)?;
        let tbs = outer.tbs.to_der().map_err(der_error)?;
        let raw = parse(&tbs)?;
        if outer.algorithm != raw.signature {
            return Err(unusable("it names two different signature algorithms (RFC 5280 section 4.1.1.2)"));
        }
        let names = raw.decode::<SubjectAltName>().map(|names| names.0).unwrap_or_default();
        Ok(Self {
            der: der.to_vec(),
            serial: raw.serial.value().to_vec(),
            validity: validity(&raw)?,
            names: names.iter().filter_map(asn1::subject_alternative_name).collect(),
            subject: raw.subject.to_string(),
            issuer: raw.issuer.to_string(),
            spki: raw.key,
            tbs,
        })
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The TBS bytes as they stand in the certificate.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// PEM, one block, RFC 7468.
    pub fn to_pem(&self) -> String {
        der::pem::encode_string("CERTIFICATE", LineEnding::LF, &self.der)
            .expect("the label is sound and base64 of a certificate fits in memory")
    }

    /// Serial number as it stands in the certificate, as octets (foreign certificates included).
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Subject alternative names (DNS and IP); in a foreign certificate, those of them that Signet
    /// could certify.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Subject, RFC 4514 text.
    pub fn subject(&self) -> String {
        self.subject.clone()
    }

    /// The subject's common name, the first if there are several.
    pub fn common_name(&self) -> Option<String> {
        asn1::common_names(&parse(&self.tbs).ok()?.subject).next().map(str::to_owned)
    }

    /// Issuer, RFC 4514 text.
    pub fn issuer(&self) -> String {
        self.issuer.clone()
    }

    /// The URLs of its CRL distribution points (RFC 5280 section 4.2.1.13), in their order.
    pub fn crl_urls(&self) -> Vec<String> {
        let points = parse(&self.tbs).ok().and_then(|raw| raw.decode::<CrlDistributionPoints>());
        let names = points.into_iter().flat_map(|points| points.0).filter_map(|point| point.distribution_point);
        let urls = names.flat_map(|name| match name {
            DistributionPointName::FullName(names) => names,
            DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
        });
        urls.filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
            _ => None,
        })
        .collect()
    }

    /// The URLs of its issuer's certificate (RFC 5280 section 4.2.2.1), in their order.
    pub fn ca_issuers_urls(&self) -> Vec<String> {
        let access = parse(&self.tbs).ok().and_then(|raw| raw.decode::<AuthorityInfoAccessSyntax>());
        let access = access.into_iter().flat_map(|access| access.0);
        access
            .filter(|access| access.access_method == ID_AD_CA_ISSUERS)
            .filter_map(|access| match access.access_location {
                GeneralName::UniformResourceIdentifier(url) => Some(url.to_string()),
                _ => None,
            })
            .collect()
    }

    /// The subject's key, if it is of a kind we know.
    pub fn key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(&self.spki.to_der().map_err(|_| KeyError::Malformed)?)
    }

    /// Whether its extended key usage names this purpose.
    pub(crate) fn has_purpose(&self, purpose: ObjectIdentifier) -> bool {
        let usage = parse(&self.tbs).ok().and_then(|raw| raw.decode::<ExtendedKeyUsage>());
        usage.is_some_and(|usage| usage.0.contains(&purpose))
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        key::sha256(&self.der)
    }

    /// Verifies this certificate's signature with `issuer_key`.
    pub fn verify(&self, issuer_key: &PublicKey) -> Result<(), BadSignature> {
        let outer = RawCertificate::from_der(&self.der).map_err(|_| BadSignature)?;
        let scheme = asn1::signature_scheme(&outer.algorithm).ok_or(BadSignature)?;
        issuer_key.verify(scheme, &self.tbs, outer.signature.as_bytes().ok_or(BadSignature)?)
    }
}
