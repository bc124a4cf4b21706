//! The builders. What they write, the lints read again.

use std::net::IpAddr;

use const_oid::AssociatedOid;
use const_oid::db::rfc4519::{
    COMMON_NAME, COUNTRY_NAME, LOCALITY_NAME, ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME, ST,
};
use const_oid::db::rfc5280::{ID_AD_CA_ISSUERS, ID_AD_OCSP, ID_KP_CLIENT_AUTH, ID_KP_OCSP_SIGNING, ID_KP_SERVER_AUTH};
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK;
use der::asn1::{Any, AnyRef, BitStringRef, Ia5String, Null, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode, Tag};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::{Attribute, AttributeTypeAndValue};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name as DistinguishedName, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::CertReqInfo;

use super::{Certificate, Issuer, Role, TbsCertificate, TbsError, der_error, unusable};
use crate::asn1::{self, RawTbs, RawValidity};
use crate::authority::Subject;
use crate::csr::RawRequest;
use crate::effects::UnixTime;
use crate::key::PublicKey;
use crate::name::{DnsName, Name};
use crate::profile::{self, ExtendedUsage, Profile, Terms, Urls};
use crate::serial::Serial;
use crate::validity::{Requested, Validity};

/// Seconds that certificates of our own roles start before they are signed, for clocks that are slow.
const ROLE_BACKDATE: u64 = 3600;

/// What a certificate for one of our own roles says.
#[derive(Clone, Debug)]
pub struct RoleCertificate<'a> {
    /// Which role.
    pub role: Role,
    /// Subject common name.
    pub common_name: &'a str,
    /// Subject organization, for CA certificates.
    pub organization: Option<&'a str>,
    /// Subject alternative names (TLS server only).
    pub names: &'a [Name],
    /// Where the issuer's certificate and CRL are published, if anywhere (plain HTTP base URL): under
    /// `<base>/ca/` and `<base>/crl/`, named by the key identifier of the issuer in hexadecimal.
    pub pki_url: Option<&'a str>,
    /// Length in seconds, both ends included.
    pub seconds: u64,
}

/// Builds the TBS of a leaf on policy's terms. A pure function of its arguments: see
/// [`TbsCertificate::signed_at`] for how to build it again.
pub fn leaf(
    profile: &Profile,
    terms: &Terms,
    issuer: &Issuer,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, TbsError> {
    let key_usage = profile.key_usage(key.algorithm()).fold(KeyUsages::DigitalSignature.into(), |usages, usage| {
        usages
            | match usage {
                profile::KeyUsage::DigitalSignature => KeyUsages::DigitalSignature,
                profile::KeyUsage::KeyEncipherment => KeyUsages::KeyEncipherment,
            }
    });
    let extended_usage = profile.extended_usage().iter().map(|usage| match usage {
        ExtendedUsage::ClientAuth => ID_KP_CLIENT_AUTH,
        ExtendedUsage::ServerAuth => ID_KP_SERVER_AUTH,
    });
    let subject = distinguished_name(None, terms.common_name.as_deref())?;
    let mut extensions = identifiers(Some(issuer), key)?;
    extensions.push(extension(Criticality::Critical, &KeyUsage(key_usage))?);
    extensions.push(extension(Criticality::NonCritical, &ExtendedKeyUsage(extended_usage.collect()))?);
    extensions.extend(alternative_names(&terms.names, &subject)?);
    extensions.extend(places(&profile.urls(issuer, serial))?);
    let validity = Validity::requested(issuer.validity(), now, terms.backdate, terms.seconds, terms.requested)?;
    encode(Some(issuer), subject, key, serial, validity, extensions)
}

/// Builds the TBS of a self-signed root named `common_name`, `organization`.
pub fn root(
    common_name: &str,
    organization: &str,
    key: &PublicKey,
    serial: Serial,
    validity: Validity,
) -> Result<TbsCertificate, TbsError> {
    let subject = distinguished_name(Some(organization), Some(common_name))?;
    let mut extensions = identifiers(None, key)?;
    extensions.extend(ca_extensions(None)?);
    encode(None, subject, key, serial, validity, extensions)
}

/// Builds the TBS of a certificate for one of our own roles.
pub fn role(
    what: &RoleCertificate<'_>,
    issuer: &Issuer,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, TbsError> {
    let subject = distinguished_name(what.organization, Some(what.common_name))?;
    let mut names = what.names.to_vec();
    names.sort();
    names.dedup();
    let mut extensions = identifiers(Some(issuer), key)?;
    match what.role {
        Role::Administrator => extensions.extend(end_entity_extensions(ID_KP_CLIENT_AUTH)?),
        Role::IssuingCa => extensions.extend(ca_extensions(Some(0))?),
        Role::OcspResponder => {
            extensions.extend(end_entity_extensions(ID_KP_OCSP_SIGNING)?);
            // RFC 6960 section 4.2.2.2.1: the responder's certificate is short-lived instead.
            extensions.push(encoded_extension(ID_PKIX_OCSP_NOCHECK, Criticality::NonCritical, &Null)?);
        }
        Role::TlsServer => {
            extensions.extend(end_entity_extensions(ID_KP_SERVER_AUTH)?);
            extensions.extend(alternative_names(&names, &subject)?);
        }
    }
    if !names.is_empty() && !matches!(what.role, Role::TlsServer) {
        return Err(unusable("only a TLS server's certificate has subject alternative names"));
    }
    if let Some(base) = what.pki_url {
        let mut urls = published(base, issuer);
        if matches!(what.role, Role::OcspResponder) {
            // Nobody asks whether an OCSP responder is revoked (id-pkix-ocsp-nocheck).
            urls.crl = None;
        }
        extensions.extend(places(&urls)?);
    }
    let validity = Validity::within(issuer.validity(), now, ROLE_BACKDATE, what.seconds)?;
    encode(Some(issuer), subject, key, serial, validity, extensions)
}

/// What the certificate of an authority says.
#[derive(Clone, Debug)]
pub struct AuthorityCertificate<'a> {
    /// Its subject.
    pub subject: &'a Subject,
    /// Subject alternative names.
    pub names: &'a [DnsName],
    /// How many CA certificates may follow below it; not for what signs itself.
    pub path_length: u8,
    /// Where the issuer's certificate and CRL are published; see [`RoleCertificate::pki_url`].
    pub pki_url: Option<&'a str>,
    /// Longest length in seconds, both ends included.
    pub seconds: u64,
    /// Last second, if it is chosen.
    pub not_after: Option<UnixTime>,
}

/// Builds the TBS of an authority's certificate: signed by `issuer`, or by itself.
pub fn authority(
    what: &AuthorityCertificate<'_>,
    issuer: Option<&Issuer>,
    key: &PublicKey,
    serial: Serial,
    now: UnixTime,
) -> Result<TbsCertificate, TbsError> {
    let subject = subject_name(what.subject)?;
    let mut extensions = identifiers(issuer, key)?;
    extensions.extend(ca_extensions(issuer.map(|_| what.path_length))?);
    extensions.extend(alternative_names(&dns_names(what.names), &subject)?);
    if let (Some(base), Some(issuer)) = (what.pki_url, issuer) {
        extensions.extend(places(&published(base, issuer))?);
    }
    encode(issuer, subject, key, serial, what.validity(issuer, now)?, extensions)
}

impl AuthorityCertificate<'_> {
    /// Its validity, if it is signed at `now` by `issuer` or by itself (J7).
    pub fn validity(&self, issuer: Option<&Issuer>, now: UnixTime) -> Result<Validity, TbsError> {
        let within = match issuer {
            Some(issuer) => issuer.validity(),
            None => Validity::new(UnixTime(0), UnixTime(u64::MAX))?,
        };
        let requested = Requested { not_before: None, not_after: self.not_after };
        Ok(Validity::requested(within, now, ROLE_BACKDATE, self.seconds, requested)?)
    }
}

/// The subject of an authority's certificate, RFC 4514 text.
pub fn authority_subject(subject: &Subject) -> Result<String, TbsError> {
    Ok(subject_name(subject)?.to_string())
}

/// Builds what an authority signs to ask for its certificate: a CertificationRequestInfo (RFC 2986 section
/// 4.1) with its subject, its key and the extensions that it should get (RFC 2985 section 5.4.2).
pub fn authority_request(subject: &Subject, names: &[DnsName], key: &PublicKey) -> Result<RequestInfo, TbsError> {
    let subject = subject_name(subject)?;
    let mut extensions = ca_extensions(None)?.to_vec();
    extensions.extend(alternative_names(&dns_names(names), &subject)?);
    let values = SetOfVec::try_from(vec![Any::encode_from(&extensions).map_err(der_error)?]).map_err(der_error)?;
    let attributes = SetOfVec::try_from(vec![Attribute { oid: ID_EXTENSION_REQ, values }]).map_err(der_error)?;
    let public_key = SubjectPublicKeyInfoOwned::from_der(key.spki()).map_err(der_error)?;
    let info = CertReqInfo { version: x509_cert::request::Version::V1, subject, public_key, attributes };
    let algorithm = asn1::signature_algorithm(key.certificate_scheme());
    let algorithm = algorithm.ok_or_else(|| unusable("its key signs no requests"))?;
    Ok(RequestInfo { info: info.to_der().map_err(der_error)?, algorithm, key: key.clone() })
}

/// A CertificationRequestInfo that its key is about to sign.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    info: Vec<u8>,
    algorithm: AlgorithmIdentifierOwned,
    key: PublicKey,
}

impl RequestInfo {
    /// The bytes to sign.
    pub fn as_bytes(&self) -> &[u8] {
        &self.info
    }

    /// The CertificationRequest, DER; refuses a signature that does not verify.
    pub fn assemble(self, signature: &[u8]) -> Result<Vec<u8>, TbsError> {
        self.key.verify(self.key.certificate_scheme(), &self.info, signature)?;
        let info = AnyRef::from_der(&self.info).map_err(der_error)?;
        let signature = BitStringRef::from_bytes(signature).map_err(der_error)?;
        RawRequest { info, algorithm: self.algorithm, signature }.to_der().map_err(der_error)
    }
}

/// Where what `issuer` publishes is found below `base`.
fn published(base: &str, issuer: &Issuer) -> Urls {
    let stem: String = issuer.key_identifier().iter().map(|octet| format!("{octet:02x}")).collect();
    let base = base.trim_end_matches('/');
    let (ca_issuers, crl) = (Some(format!("{base}/ca/{stem}.crt")), Some(format!("{base}/crl/{stem}.crl")));
    Urls { crl, ca_issuers, ..Urls::default() }
}

fn dns_names(names: &[DnsName]) -> Vec<Name> {
    let mut names: Vec<Name> = names.iter().cloned().map(Name::Dns).collect();
    names.sort();
    names.dedup();
    names
}

/// Builds the TBS of `before` once more, with another serial number and `seconds` from now: the
/// subject, the key and the extensions stay. Refused unless `issuer` issued that one.
pub fn renewed(
    before: &Certificate,
    issuer: &Issuer,
    serial: Serial,
    now: UnixTime,
    seconds: u64,
) -> Result<TbsCertificate, TbsError> {
    before.verify(issuer.key())?;
    let mut tbs = super::parse(before.tbs())?;
    let validity = Validity::within(issuer.validity(), now, ROLE_BACKDATE, seconds)?;
    tbs.serial = Any::new(Tag::Integer, serial.der_octets()).map_err(der_error)?;
    tbs.validity = RawValidity {
        not_before: asn1::write_time(validity.not_before()).map_err(der_error)?,
        not_after: asn1::write_time(validity.not_after()).map_err(der_error)?,
    };
    Ok(TbsCertificate(tbs.to_der().map_err(der_error)?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Criticality {
    Critical,
    NonCritical,
}

fn encode(
    issuer: Option<&Issuer>,
    subject: DistinguishedName,
    key: &PublicKey,
    serial: Serial,
    validity: Validity,
    extensions: Vec<Extension>,
) -> Result<TbsCertificate, TbsError> {
    const V3: u8 = 2;
    let scheme = issuer.map_or(key, Issuer::key).certificate_scheme();
    let tbs = RawTbs {
        version: V3,
        serial: Any::new(Tag::Integer, serial.der_octets()).map_err(der_error)?,
        signature: asn1::signature_algorithm(scheme)
            .ok_or_else(|| unusable("its issuer's key signs no certificates"))?,
        issuer: issuer.map_or(&subject, Issuer::subject).clone(),
        validity: RawValidity {
            not_before: asn1::write_time(validity.not_before()).map_err(der_error)?,
            not_after: asn1::write_time(validity.not_after()).map_err(der_error)?,
        },
        subject,
        key: Any::from_der(key.spki()).map_err(der_error)?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    Ok(TbsCertificate(tbs.to_der().map_err(der_error)?))
}

/// Organization, then common name.
fn distinguished_name(organization: Option<&str>, common_name: Option<&str>) -> Result<DistinguishedName, TbsError> {
    for text in [organization, common_name].into_iter().flatten() {
        if !profile::is_common_name(text) {
            return Err(unusable(
                "a common name or organization has 1 to 64 printable characters, none at the ends a space",
            ));
        }
    }
    attributes(&[(ORGANIZATION_NAME, organization), (COMMON_NAME, common_name)])
}

/// The subject of an authority.
fn subject_name(subject: &Subject) -> Result<DistinguishedName, TbsError> {
    let fields = subject.fields();
    attributes(&[
        (COUNTRY_NAME, fields.country.as_deref()),
        (ST, fields.state.as_deref()),
        (LOCALITY_NAME, fields.locality.as_deref()),
        (ORGANIZATION_NAME, fields.organization.as_deref()),
        (ORGANIZATIONAL_UNIT_NAME, fields.organizational_unit.as_deref()),
        (COMMON_NAME, Some(&fields.common_name)),
    ])
}

/// One attribute in each relative distinguished name, UTF8String but for the country (RFC 5280 section
/// 4.1.2.4 and appendix A.1).
fn attributes(all: &[(ObjectIdentifier, Option<&str>)]) -> Result<DistinguishedName, TbsError> {
    let mut sequence = RdnSequence::default();
    for (oid, text) in all {
        let (oid, Some(text)) = (*oid, text) else { continue };
        let tag = if oid == COUNTRY_NAME { Tag::PrintableString } else { Tag::Utf8String };
        let value = Any::new(tag, text.as_bytes()).map_err(der_error)?;
        let attribute = RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid, value }]);
        sequence.push(attribute.map_err(der_error)?);
    }
    DistinguishedName::from_der(&sequence.to_der().map_err(der_error)?).map_err(der_error)
}

/// Authority key identifier (not in a root, RFC 5280 section 4.2.1.1) and subject key identifier.
fn identifiers(issuer: Option<&Issuer>, key: &PublicKey) -> Result<Vec<Extension>, TbsError> {
    let mut extensions = Vec::new();
    if let Some(issuer) = issuer {
        let key_identifier = Some(OctetString::new(issuer.key_identifier()).map_err(der_error)?);
        let authority = AuthorityKeyIdentifier { key_identifier, ..Default::default() };
        extensions.push(extension(Criticality::NonCritical, &authority)?);
    }
    let subject = SubjectKeyIdentifier(OctetString::new(&key.key_identifier()[..]).map_err(der_error)?);
    extensions.push(extension(Criticality::NonCritical, &subject)?);
    Ok(extensions)
}

fn ca_extensions(path_length: Option<u8>) -> Result<[Extension; 2], TbsError> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: path_length };
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    Ok([extension(Criticality::Critical, &constraints)?, extension(Criticality::Critical, &usage)?])
}

fn end_entity_extensions(purpose: ObjectIdentifier) -> Result<[Extension; 2], TbsError> {
    let usage = KeyUsage(KeyUsages::DigitalSignature.into());
    let purposes = ExtendedKeyUsage(vec![purpose]);
    Ok([extension(Criticality::Critical, &usage)?, extension(Criticality::NonCritical, &purposes)?])
}

/// Subject alternative names, critical where the subject is empty (RFC 5280 section 4.2.1.6).
fn alternative_names(names: &[Name], subject: &DistinguishedName) -> Result<Option<Extension>, TbsError> {
    if names.is_empty() {
        return Ok(None);
    }
    let name = |name: &Name| match name {
        Name::Dns(name) => Ia5String::new(name.as_str()).map(GeneralName::DnsName),
        Name::Ip(IpAddr::V4(address)) => OctetString::new(&address.octets()[..]).map(GeneralName::IpAddress),
        Name::Ip(IpAddr::V6(address)) => OctetString::new(&address.octets()[..]).map(GeneralName::IpAddress),
    };
    let names = SubjectAltName(names.iter().map(name).collect::<Result<_, _>>().map_err(der_error)?);
    let criticality = if subject.is_empty() { Criticality::Critical } else { Criticality::NonCritical };
    extension(criticality, &names).map(Some)
}

/// CRL distribution point and authority information access, as far as there are URLs.
fn places(urls: &Urls) -> Result<Vec<Extension>, TbsError> {
    let uri = |url: &str| Ia5String::new(url).map(GeneralName::UniformResourceIdentifier).map_err(der_error);
    let mut extensions = Vec::new();
    if let Some(url) = &urls.crl {
        let point = DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(vec![uri(url)?])),
            reasons: None,
            crl_issuer: None,
        };
        extensions.push(extension(Criticality::NonCritical, &CrlDistributionPoints(vec![point]))?);
    }
    let mut access = Vec::new();
    for (method, url) in [(ID_AD_OCSP, &urls.ocsp), (ID_AD_CA_ISSUERS, &urls.ca_issuers)] {
        if let Some(url) = url {
            access.push(AccessDescription { access_method: method, access_location: uri(url)? });
        }
    }
    if !access.is_empty() {
        extensions.push(extension(Criticality::NonCritical, &AuthorityInfoAccessSyntax(access))?);
    }
    Ok(extensions)
}

fn extension<T: AssociatedOid + Encode>(criticality: Criticality, value: &T) -> Result<Extension, TbsError> {
    encoded_extension(T::OID, criticality, value)
}

fn encoded_extension(
    oid: ObjectIdentifier,
    criticality: Criticality,
    value: &impl Encode,
) -> Result<Extension, TbsError> {
    let extn_value = OctetString::new(value.to_der().map_err(der_error)?).map_err(der_error)?;
    Ok(Extension { extn_id: oid, critical: criticality == Criticality::Critical, extn_value })
}
