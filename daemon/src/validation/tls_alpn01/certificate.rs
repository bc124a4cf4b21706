//! The certificate of tls-alpn-01: RFC 8737 section 3, RFC 8738 section 6.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence};
use policy::name::Name;
use rustls::crypto::aws_lc_rs;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::validation::failure::{excerpt, printable};

/// id-pe-acmeIdentifier, RFC 8737 section 6.1.
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");
/// Its place in drafts before RFC 8737. Not accepted: see row 3 of the incidents that CAs had with it.
const OBSOLETE_ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.30.1");
/// id-ce-subjectAltName, RFC 5280 section 4.2.1.6.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// Certificate, RFC 5280 section 4.1, only as far as the check needs it.
#[derive(Sequence)]
struct Outer<'a> {
    tbs: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

/// TBSCertificate; what is not looked at is not interpreted.
#[derive(Sequence)]
struct Inner<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    version: u8,
    serial: AnyRef<'a>,
    signature: AnyRef<'a>,
    issuer: AnyRef<'a>,
    validity: AnyRef<'a>,
    subject: AnyRef<'a>,
    key: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    issuer_unique_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    subject_unique_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Key<'a> {
    algorithm: AnyRef<'a>,
    bits: BitStringRef<'a>,
}

/// Checks everything that RFC 8737 section 3 says of the certificate: self-signed, one subject
/// alternative name, which is `name`, and the critical extension with `digest`, the SHA-256 of the key
/// authorization. Its dates and its chain mean nothing. Whether the peer holds the key is for the
/// handshake to show.
///
/// The error is half a sentence: what was found, what was expected.
pub fn check(certificate: &[u8], name: &Name, digest: &[u8]) -> Result<(), String> {
    let malformed = |error: der::Error| format!("it is not DER as in RFC 5280 ({error})");
    let outer = Outer::from_der(certificate).map_err(malformed)?;
    let tbs = outer.tbs.to_der().map_err(malformed)?;
    let inner = Inner::from_der(&tbs).map_err(malformed)?;
    let extensions = inner.extensions.as_deref().unwrap_or_default();
    check_identifier(extensions, digest)?;
    check_name(extensions, name)?;
    check_self_signed(&outer, &tbs, &inner)
}

/// The SubjectPublicKeyInfo of a certificate, DER. `None` if it cannot be read.
pub(crate) fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let tbs = Outer::from_der(certificate).ok()?.tbs.to_der().ok()?;
    Inner::from_der(&tbs).ok()?.key.to_der().ok()
}

fn check_identifier(extensions: &[Extension], digest: &[u8]) -> Result<(), String> {
    let Some(extension) = single(extensions, ACME_IDENTIFIER)? else {
        if single(extensions, OBSOLETE_ACME_IDENTIFIER)?.is_some() {
            return Err(format!(
                "its acmeIdentifier has the obsolete object identifier {OBSOLETE_ACME_IDENTIFIER}, expected {ACME_IDENTIFIER}: update the client"
            ));
        }
        return Err(format!("it has no acmeIdentifier extension ({ACME_IDENTIFIER})"));
    };
    if !extension.critical {
        return Err("its acmeIdentifier extension is not critical".to_owned());
    }
    let value = extension.extn_value.as_bytes();
    let found = <&OctetStringRef>::from_der(value)
        .map_err(|_| format!("its acmeIdentifier extension is not an OCTET STRING: {}", hex(value)))?;
    if found.as_bytes().len() != 32 {
        return Err(format!("its acmeIdentifier extension has {} octets, expected 32", found.as_bytes().len()));
    }
    if found.as_bytes() != digest {
        return Err(format!("its acmeIdentifier extension has {}, expected {}", hex(found.as_bytes()), hex(digest)));
    }
    Ok(())
}

fn check_name(extensions: &[Extension], name: &Name) -> Result<(), String> {
    let extension = single(extensions, SUBJECT_ALT_NAME)?
        .ok_or_else(|| format!("it has no subject alternative name, expected {name} and no other"))?;
    let names = SubjectAltName::from_der(extension.extn_value.as_bytes())
        .map_err(|_| "its subject alternative name cannot be read".to_owned())?
        .0;
    let is_it = |found: &GeneralName| match (found, name) {
        (GeneralName::DnsName(found), Name::Dns(name)) => found.as_str().eq_ignore_ascii_case(name.as_str()),
        (GeneralName::IpAddress(found), Name::Ip(std::net::IpAddr::V4(name))) => found.as_bytes() == name.octets(),
        (GeneralName::IpAddress(found), Name::Ip(std::net::IpAddr::V6(name))) => found.as_bytes() == name.octets(),
        _ => false,
    };
    match names.as_slice() {
        [one] if is_it(one) => Ok(()),
        [one] => Err(format!("its subject alternative name is {}, expected {name}", text(one))),
        many => Err(format!("it has {} subject alternative names, expected {name} and no other", many.len())),
    }
}

fn check_self_signed(outer: &Outer<'_>, tbs: &[u8], inner: &Inner<'_>) -> Result<(), String> {
    if inner.issuer != inner.subject {
        return Err("it is not self-signed: its issuer is not its subject".to_owned());
    }
    if outer.algorithm != inner.signature {
        return Err("it names two different signature algorithms".to_owned());
    }
    let wrong = || "it is not self-signed: its signature is not by its own key".to_owned();
    let key: Key<'_> = inner.key.decode_as().map_err(|_| "its key cannot be read".to_owned())?;
    let (Some(bits), Some(signature)) = (key.bits.as_bytes(), outer.signature.as_bytes()) else { return Err(wrong()) };
    let known = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let mut fitting = known
        .iter()
        .filter(|known| known.signature_alg_id().as_ref() == outer.algorithm.value())
        .filter(|known| known.public_key_alg_id().as_ref() == key.algorithm.value())
        .peekable();
    if fitting.peek().is_none() {
        return Err("it is signed with an algorithm that this server does not know".to_owned());
    }
    if fitting.any(|known| known.verify_signature(bits, tbs, signature).is_ok()) { Ok(()) } else { Err(wrong()) }
}

/// The extension with this OID; RFC 5280 section 4.2 allows one.
fn single(extensions: &[Extension], oid: ObjectIdentifier) -> Result<Option<&Extension>, String> {
    let mut found = extensions.iter().filter(|extension| extension.extn_id == oid);
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(format!("it has the extension {oid} twice")),
    }
}

fn text(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("the DNS name \"{}\"", printable(name.as_str(), 100)),
        GeneralName::IpAddress(address) => format!("the address {}", hex(address.as_bytes())),
        GeneralName::Rfc822Name(name) => format!("the mail address {}", excerpt(name.as_bytes())),
        _ => "of another kind".to_owned(),
    }
}

/// The first 32 octets.
fn hex(octets: &[u8]) -> String {
    octets.iter().take(32).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
