//! A certificate taken apart, with what the CA knows of it.

use policy::tbs;
use serde::Serialize;
use serde_json::{Map, Value, json};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::name::RdnSequence;

use super::answer::Number;
use super::error::Error;
use super::{Upki, name, profile};
use crate::service::certificates::Certificate;
use crate::service::named::Standing;
use crate::service::peer::hex;

#[derive(Serialize)]
pub(super) struct View {
    certificate: String,
    dn: String,
    cn: Option<String>,
    profile: String,
    serial: Number,
    subject: Map<String, Value>,
    issuer: Map<String, Value>,
    extensions: Map<String, Value>,
    sans: Vec<Value>,
    key_usage: Map<String, Value>,
    basic_constraints: Value,
    serial_number: Number,
    fingerprint: String,
    not_valid_before: String,
    not_valid_after: String,
    is_valid: bool,
    is_revoked: bool,
    revoke_reason: Option<&'static str>,
    is_ca: bool,
    revoked: bool,
    revoke_date: Option<String>,
    deleted: bool,
    renewed: bool,
}

impl View {
    pub(super) fn new(upki: &Upki, certificate: &Certificate) -> Result<Self, Error> {
        let unreadable = |error: &dyn std::fmt::Display| Error::internal(&format!("{}: {error}", certificate.serial));
        let parsed = tbs::Certificate::from_der(&certificate.der).map_err(|error| unreadable(&error))?;
        let whole = x509_cert::Certificate::from_der(&certificate.der).map_err(|error| unreadable(&error))?;
        let standing = upki.standing(certificate);
        let revoked = match standing {
            Standing::Revoked(at, code) => Some((at, code)),
            Standing::Expired | Standing::Good => None,
        };
        let (mut extensions, mut key_usage, mut constraints) = (Map::new(), Map::new(), Constraints::default());
        for extension in whole.tbs_certificate().extensions().into_iter().flatten() {
            let (oid, octets) = (extension.extn_id.to_string(), extension.extn_value.as_bytes());
            let known = EXTENSIONS.iter().find(|(known, _)| *known == oid).map_or(oid.as_str(), |(_, name)| name);
            extensions.insert(known.to_owned(), json!({"critical": extension.critical, "oid": oid}));
            match known {
                "keyUsage" => key_usage = usages(octets),
                "basicConstraints" => constraints = Constraints::read(octets),
                _ => {}
            }
        }
        let names = certificate.names.iter().map(|name| match name {
            policy::name::Name::Dns(name) => json!({"type": "DNS", "value": name}),
            policy::name::Name::Ip(address) => json!({"type": "IP", "value": address}),
        });
        Ok(Self {
            certificate: parsed.to_pem(),
            dn: name::of_subject(&parsed),
            cn: certificate.called(),
            profile: profile::theirs(upki, &certificate.profile),
            serial: Number(certificate.serial),
            subject: attributes(whole.tbs_certificate().subject().as_ref()),
            issuer: attributes(whole.tbs_certificate().issuer().as_ref()),
            extensions,
            sans: names.collect(),
            key_usage,
            basic_constraints: json!({"ca": constraints.ca, "path_length": constraints.path_length}),
            serial_number: Number(certificate.serial),
            fingerprint: hex(&parsed.sha256()),
            not_valid_before: name::time(certificate.not_before),
            not_valid_after: name::time(certificate.not_after),
            is_valid: standing == Standing::Good,
            is_revoked: revoked.is_some(),
            revoke_reason: revoked.map(|(_, code)| name::reason(code)),
            is_ca: constraints.ca,
            revoked: revoked.is_some(),
            revoke_date: revoked.map(|(at, _)| name::time(at)),
            deleted: false,
            renewed: matches!(revoked, Some((_, Some(SUPERSEDED)))),
        })
    }
}

#[derive(Default)]
struct Constraints {
    ca: bool,
    path_length: Option<u8>,
}

impl Constraints {
    fn read(octets: &[u8]) -> Self {
        let read = BasicConstraints::from_der(octets).ok();
        read.map_or_else(Self::default, |read| Self { ca: read.ca, path_length: read.path_len_constraint })
    }
}

/// superseded, RFC 5280 section 5.3.1.
const SUPERSEDED: u8 = 4;

/// Extensions that our certificates have (RFC 5280 sections 4.2.1 and 4.2.2).
const EXTENSIONS: [(&str, &str); 8] = [
    ("1.3.6.1.5.5.7.1.1", "authorityInfoAccess"),
    ("2.5.29.14", "subjectKeyIdentifier"),
    ("2.5.29.15", "keyUsage"),
    ("2.5.29.17", "subjectAltName"),
    ("2.5.29.19", "basicConstraints"),
    ("2.5.29.31", "cRLDistributionPoints"),
    ("2.5.29.35", "authorityKeyIdentifier"),
    ("2.5.29.37", "extendedKeyUsage"),
];

/// Attributes of names (RFC 5280 appendix A.1), as uPKI calls them.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("2.5.4.3", "commonName"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "countryName"),
    ("2.5.4.7", "localityName"),
    ("2.5.4.8", "stateOrProvinceName"),
    ("2.5.4.10", "organizationName"),
    ("2.5.4.11", "organizationalUnitName"),
];

fn attributes(name: &RdnSequence) -> Map<String, Value> {
    let all = name.iter().flat_map(|rdn| rdn.iter());
    let pair = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
        let oid = attribute.oid.to_string();
        let known = ATTRIBUTES.iter().find(|(known, _)| *known == oid).map(|(_, name)| (*name).to_owned());
        let text = String::from_utf8_lossy(attribute.value.value()).into_owned();
        (known.unwrap_or(oid), text.into())
    };
    all.map(pair).collect()
}

fn usages(octets: &[u8]) -> Map<String, Value> {
    let Ok(usage) = KeyUsage::from_der(octets) else { return Map::new() };
    let all = [
        ("digital_signature", KeyUsages::DigitalSignature),
        ("content_commitment", KeyUsages::NonRepudiation),
        ("key_encipherment", KeyUsages::KeyEncipherment),
        ("data_encipherment", KeyUsages::DataEncipherment),
        ("key_agreement", KeyUsages::KeyAgreement),
        ("key_cert_sign", KeyUsages::KeyCertSign),
        ("crl_sign", KeyUsages::CRLSign),
        ("encipher_only", KeyUsages::EncipherOnly),
        ("decipher_only", KeyUsages::DecipherOnly),
    ];
    all.into_iter().map(|(name, flag)| (name.to_owned(), usage.0.contains(flag).into())).collect()
}
