//! CSRs and the certificates of tls-alpn-01, in DER, with every mistake that a test wants.

use std::net::IpAddr;

use super::jose::Key;

/// A certification request (RFC 2986).
pub(crate) struct CsrDraft<'a> {
    pub(crate) key: &'a Key,
    pub(crate) common_name: Option<&'a str>,
    pub(crate) names: Vec<SubjectName<'a>>,
    /// Changed in the signature: the proof of possession is wrong.
    pub(crate) spoiled: bool,
}

/// A name in subjectAltName.
#[derive(Clone, Copy)]
pub(crate) enum SubjectName<'a> {
    Address(IpAddr),
    Dns(&'a str),
    Email(&'a str),
}

/// DER of a request for names, with an empty subject.
pub(crate) fn csr(key: &Key, names: &[&str]) -> Vec<u8> {
    CsrDraft { key, common_name: None, names: names.iter().map(|name| SubjectName::of(name)).collect(), spoiled: false }
        .der()
}

impl<'a> SubjectName<'a> {
    /// An address if it is one, else a DNS name.
    fn of(name: &'a str) -> Self {
        name.parse().map_or(Self::Dns(name), Self::Address)
    }
}

impl CsrDraft<'_> {
    pub(crate) fn der(&self) -> Vec<u8> {
        let attributes = if self.names.is_empty() {
            Vec::new()
        } else {
            let values = tlv(SET, &[&tlv(SEQUENCE, &[&alternative_names(&self.names)])]);
            tlv(SEQUENCE, &[&oid(EXTENSION_REQUEST), &values])
        };
        let info = tlv(
            SEQUENCE,
            &[
                &tlv(INTEGER, &[&[0]]),
                &self.common_name.map_or_else(|| tlv(SEQUENCE, &[]), common_name),
                &self.key.spki(),
                &tlv(CONTEXT_0, &[&attributes]),
            ],
        );
        let mut signature = self.key.sign_der(&info);
        if self.spoiled {
            // Signed is another text: the number itself stays a possible signature.
            signature = self.key.sign_der(b"something else");
        }
        tlv(SEQUENCE, &[&info, &self.key.signature_algorithm(), &tlv(BIT_STRING, &[&[0], &signature])])
    }
}

/// The certificate that answers a tls-alpn-01 challenge, RFC 8737 section 3.
pub(crate) struct AlpnDraft<'a> {
    pub(crate) key: &'a Key,
    pub(crate) names: Vec<SubjectName<'a>>,
    /// The extension's OID, whether it is critical, and the digest in it.
    pub(crate) identifier: Option<(&'a [u8], bool, Vec<u8>)>,
    pub(crate) not_after: &'a str,
}

impl AlpnDraft<'_> {
    pub(crate) fn der(&self) -> Vec<u8> {
        let mut extensions = alternative_names(&self.names);
        if let Some((identifier, critical, digest)) = &self.identifier {
            let critical: &[u8] = if *critical { &[0x01, 0x01, 0xff] } else { &[] };
            let value = tlv(OCTET_STRING, &[&tlv(OCTET_STRING, &[digest])]);
            extensions.extend(tlv(SEQUENCE, &[&oid(identifier), critical, &value]));
        }
        let name = common_name("tls-alpn-01");
        let time = |text: &str| tlv(GENERALIZED_TIME, &[text.as_bytes()]);
        let algorithm = self.key.signature_algorithm();
        let tbs = tlv(
            SEQUENCE,
            &[
                &tlv(CONTEXT_0, &[&tlv(INTEGER, &[&[2]])]),
                &tlv(INTEGER, &[&[1]]),
                &algorithm,
                &name,
                &tlv(SEQUENCE, &[&time("20200101000000Z"), &time(self.not_after)]),
                &name,
                &self.key.spki(),
                &tlv(CONTEXT_3, &[&tlv(SEQUENCE, &[&extensions])]),
            ],
        );
        let signature = self.key.sign_der(&tbs);
        tlv(SEQUENCE, &[&tbs, &algorithm, &tlv(BIT_STRING, &[&[0], &signature])])
    }
}

/// 1.3.6.1.5.5.7.1.31
pub(crate) const ACME_IDENTIFIER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];
/// 1.3.6.1.5.5.7.1.30.1, of the drafts
pub(crate) const OLD_ACME_IDENTIFIER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1e, 0x01];

/// 1.2.840.113549.1.9.14
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;

fn alternative_names(names: &[SubjectName<'_>]) -> Vec<u8> {
    let names: Vec<u8> = names
        .iter()
        .flat_map(|name| match name {
            SubjectName::Address(IpAddr::V4(address)) => tlv(0x87, &[&address.octets()]),
            SubjectName::Address(IpAddr::V6(address)) => tlv(0x87, &[&address.octets()]),
            SubjectName::Dns(name) => tlv(0x82, &[name.as_bytes()]),
            SubjectName::Email(name) => tlv(0x81, &[name.as_bytes()]),
        })
        .collect();
    tlv(SEQUENCE, &[&oid(SUBJECT_ALT_NAME), &tlv(OCTET_STRING, &[&tlv(SEQUENCE, &[&names])])])
}

fn common_name(text: &str) -> Vec<u8> {
    let attribute = tlv(SEQUENCE, &[&oid(COMMON_NAME), &tlv(UTF8_STRING, &[text.as_bytes()])]);
    tlv(SEQUENCE, &[&tlv(SET, &[&attribute])])
}

fn oid(content: &[u8]) -> Vec<u8> {
    tlv(OID, &[content])
}

/// DER of one value; lengths below 65,536.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut der = vec![tag];
    match content.len() {
        length @ 0..0x80 => der.push(length as u8),
        length @ 0x80..0x100 => der.extend([0x81, length as u8]),
        length => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}
