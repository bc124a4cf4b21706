//! The ASN.1 of certificates in a form loose enough to hold what a lint must be able to see:
//! serial numbers, times and keys are kept as they were encoded.

use const_oid::AssociatedOid;
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, SHA_256_WITH_RSA_ENCRYPTION};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::{Any, AnyRef, BitString, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::effects::UnixTime;
use crate::key::SignatureScheme;
use crate::name::DnsName;

/// TBSCertificate, RFC 5280 section 4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct RawTbs {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    pub(crate) version: u8,
    pub(crate) serial: Any,
    pub(crate) signature: AlgorithmIdentifierOwned,
    pub(crate) issuer: Name,
    pub(crate) validity: RawValidity,
    pub(crate) subject: Name,
    pub(crate) key: Any,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) issuer_unique_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) subject_unique_id: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Vec<Extension>>,
}

/// Validity, RFC 5280 section 4.1.2.5, with the times as they were encoded.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct RawValidity {
    pub(crate) not_before: Any,
    pub(crate) not_after: Any,
}

/// Certificate, RFC 5280 section 4.1, with the TBS as it was encoded.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct RawCertificate<'a> {
    pub(crate) tbs: AnyRef<'a>,
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    pub(crate) signature: BitStringRef<'a>,
}

impl RawTbs {
    /// The extensions, none if the field is absent.
    pub(crate) fn extensions(&self) -> &[Extension] {
        self.extensions.as_deref().unwrap_or_default()
    }

    /// The first extension with this OID.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.extensions().iter().find(|extension| extension.extn_id == oid)
    }

    /// The first extension of this type, if it is there and decodes.
    pub(crate) fn decode<'a, T: AssociatedOid + Decode<'a>>(&'a self) -> Option<T> {
        T::from_der(self.extension(T::OID)?.extn_value.as_bytes()).ok()
    }
}

/// Reads a Time (UTCTime or GeneralizedTime, in the only forms that RFC 5280 allows).
pub(crate) fn read_time(time: &Any) -> Option<UnixTime> {
    read_time_der(&time.to_der().ok()?)
}

/// The same from its encoding.
pub(crate) fn read_time_der(der: &[u8]) -> Option<UnixTime> {
    Some(UnixTime(Time::from_der(der).ok()?.to_unix_duration().as_secs()))
}

/// Writes a Time: UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5).
pub(crate) fn write_time(time: UnixTime) -> der::Result<Any> {
    let date = der::DateTime::from_unix_duration(std::time::Duration::from_secs(time.0))?;
    Any::encode_from(&Time::from(date))
}

/// The AlgorithmIdentifier of a certificate signed with `scheme`: RFC 4055 section 5 (RSA, NULL),
/// RFC 5758 section 3.2 (ECDSA, absent), RFC 8410 section 3 (Ed25519, absent). There is none for
/// PSS, which Signet uses in TLS only.
pub(crate) fn signature_algorithm(scheme: SignatureScheme) -> Option<AlgorithmIdentifierOwned> {
    let (oid, parameters) = match scheme {
        SignatureScheme::EcdsaP256Sha256 => (ECDSA_WITH_SHA_256, None),
        SignatureScheme::EcdsaP384Sha384 => (ECDSA_WITH_SHA_384, None),
        SignatureScheme::Ed25519 => (ID_ED_25519, None),
        SignatureScheme::RsaPkcs1Sha256 => (SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
        SignatureScheme::RsaPssSha256 => return None,
    };
    Some(AlgorithmIdentifierOwned { oid, parameters })
}

/// The scheme that an AlgorithmIdentifier names, if it is one of ours in its exact encoding.
pub(crate) fn signature_scheme(algorithm: &AlgorithmIdentifierOwned) -> Option<SignatureScheme> {
    use SignatureScheme::{EcdsaP256Sha256, EcdsaP384Sha384, Ed25519, RsaPkcs1Sha256};
    [EcdsaP256Sha256, EcdsaP384Sha384, Ed25519, RsaPkcs1Sha256]
        .into_iter()
        .find(|scheme| signature_algorithm(*scheme).as_ref() == Some(algorithm))
}

/// The text of a directory string (UTF8String, PrintableString or IA5String).
pub(crate) fn directory_string(value: &Any) -> Option<&str> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => std::str::from_utf8(value.value()).ok(),
        _ => None,
    }
}

/// The common names of a distinguished name that are texts.
pub(crate) fn common_names(name: &Name) -> impl Iterator<Item = &str> {
    name.iter()
        .filter(|attribute| attribute.oid == const_oid::db::rfc4519::COMMON_NAME)
        .filter_map(|attribute| directory_string(&attribute.value))
}

/// An iPAddress of a certificate, RFC 5280 section 4.2.1.6.
pub(crate) fn ip_address(octets: &[u8]) -> Option<std::net::IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(Into::into),
        16 => <[u8; 16]>::try_from(octets).ok().map(Into::into),
        _ => None,
    }
}

/// A subject alternative name, if it is of a kind that Signet certifies and in canonical form.
pub(crate) fn subject_alternative_name(name: &GeneralName) -> Option<crate::name::Name> {
    match name {
        GeneralName::DnsName(text) => DnsName::parse(text.as_str()).ok().map(crate::name::Name::Dns),
        GeneralName::IpAddress(octets) => ip_address(octets.as_bytes()).map(crate::name::Name::Ip),
        _ => None,
    }
}
