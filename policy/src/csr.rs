//! Certification requests (PKCS#10, RFC 2986).

use const_oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::request::CertReqInfo;

use crate::asn1;
use crate::key::{KeyError, PublicKey};
use crate::name::{DnsName, Name, NameError};
/// A certification request whose signature proves possession of its key.
///
/// Nothing is copied from it into a certificate but the public key (J5); the names are there only
/// to be compared with what was authorised.
#[derive(Clone, Debug)]
pub struct Csr {
    key: PublicKey,
    names: Vec<Name>,
    common_name: Option<String>,
}

/// Why a certification request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not DER, trailing bytes, wrong version, or too large.
    #[error("the CSR is not a DER PKCS#10 request: {0}")]
    Malformed(&'static str),
    /// A requested extension is one that Signet does not know how to compare.
    #[error("the CSR asks for an extension that is not allowed: {0}")]
    Extension(String),
    /// The key is refused.
    #[error("the CSR's key is refused")]
    Key(#[from] KeyError),
    /// A name in it is not a name.
    #[error("the CSR holds a name that is not valid")]
    Name(#[from] NameError),
    /// The self-signature does not verify.
    #[error("the CSR's signature does not verify with its own key")]
    Signature,
}

impl Csr {
    /// Largest request that is read, in bytes.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Parses DER and verifies the proof of possession.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > Self::MAX_LEN {
            return Err(CsrError::Malformed("it is larger than 16 KiB"));
        }
        let request =
            RawRequest::from_der(der).map_err(|_| CsrError::Malformed("its outer structure does not decode"))?;
        let signed = request.info.to_der().map_err(|_| CsrError::Malformed("its information does not encode"))?;
        let info = CertReqInfo::from_der(&signed)
            .map_err(|_| CsrError::Malformed("its information does not decode, or its version is not v1"))?;
        let spki = info.public_key.to_der().map_err(|_| CsrError::Malformed("its key does not encode"))?;
        let key = PublicKey::from_spki(&spki)?;
        let scheme = asn1::signature_scheme(&request.algorithm).ok_or(CsrError::Signature)?;
        let signature = request.signature.as_bytes().ok_or(CsrError::Signature)?;
        key.verify(scheme, &signed, signature).map_err(|_| CsrError::Signature)?;

        let mut names = requested_names(&info)?;
        let common_name = single_common_name(&info)?;
        if let Some(name) = common_name.as_deref().and_then(|text| name_in_common_name(text, &names)) {
            names.push(name);
        }
        names.sort();
        names.dedup();
        Ok(Self { key, names, common_name })
    }

    /// The key whose possession was proved.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The names it asks for: subject alternative names, and a common name that is a name; sorted,
    /// without duplicates. A common name of one label (`backup`) counts only where there are no
    /// subject alternative names: beside them it is a title.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The subject's common name, as written.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

/// CertificationRequest, RFC 2986 section 4.2, with the part that is signed as it was encoded.
#[derive(Sequence)]
struct RawRequest<'a> {
    info: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// The subject alternative names of the extension request; refuses extensions whose absence from
/// the certificate would surprise the requester (I19). Other attributes say nothing about the
/// certificate and are not read.
fn requested_names(info: &CertReqInfo) -> Result<Vec<Name>, CsrError> {
    let mut requests = info.attributes.iter().filter(|attribute| attribute.oid == ID_EXTENSION_REQ);
    let Some(request) = requests.next() else { return Ok(Vec::new()) };
    let [value] = request.values.as_ref() else {
        return Err(CsrError::Malformed("its extension request does not hold exactly one value"));
    };
    if requests.next().is_some() {
        return Err(CsrError::Malformed("it holds two extension requests"));
    }
    let extensions: Vec<Extension> =
        value.decode_as().map_err(|_| CsrError::Malformed("its extension request does not decode"))?;
    let mut names = Vec::new();
    for (index, extension) in extensions.iter().enumerate() {
        if extensions[..index].iter().any(|earlier| earlier.extn_id == extension.extn_id) {
            return Err(CsrError::Malformed("it asks for an extension twice"));
        }
        let content = extension.extn_value.as_bytes();
        match extension.extn_id {
            ID_CE_SUBJECT_ALT_NAME => {
                let listed = GeneralNames::from_der(content)
                    .map_err(|_| CsrError::Malformed("its subject alternative names do not decode"))?;
                names = listed.iter().map(requested_name).collect::<Result<_, _>>()?;
            }
            ID_CE_BASIC_CONSTRAINTS => {
                let constraints = BasicConstraints::from_der(content)
                    .map_err(|_| CsrError::Malformed("its basic constraints do not decode"))?;
                if constraints.ca {
                    return Err(CsrError::Extension("basicConstraints with cA TRUE".to_owned()));
                }
            }
            // Usual wishes; the profile decides them, whatever the request says.
            ID_CE_EXT_KEY_USAGE | ID_CE_KEY_USAGE | ID_CE_SUBJECT_KEY_IDENTIFIER => {}
            other => return Err(CsrError::Extension(other.to_string())),
        }
    }
    Ok(names)
}

/// One subject alternative name. DNS names are compared without regard to case (RFC 4343).
fn requested_name(name: &GeneralName) -> Result<Name, CsrError> {
    match name {
        GeneralName::DnsName(text) => Ok(Name::Dns(DnsName::parse(&text.as_str().to_ascii_lowercase())?)),
        GeneralName::IpAddress(octets) => asn1::ip_address(octets.as_bytes())
            .map(Name::Ip)
            .ok_or(CsrError::Malformed("an IP address in it has neither 4 nor 16 octets")),
        _ => Err(CsrError::Extension(
            "a subject alternative name that is neither a DNS name nor an IP address".to_owned(),
        )),
    }
}

fn single_common_name(info: &CertReqInfo) -> Result<Option<String>, CsrError> {
    let mut texts = asn1::common_names(&info.subject);
    let first = texts.next().map(str::to_owned);
    match texts.next() {
        None => Ok(first),
        Some(_) => Err(CsrError::Malformed("its subject holds two common names")),
    }
}

/// The name that a common name is, if it is one.
fn name_in_common_name(text: &str, alternative_names: &[Name]) -> Option<Name> {
    let name = Name::parse(&text.to_ascii_lowercase()).ok()?;
    let is_title = matches!(&name, Name::Dns(name) if !name.as_str().contains('.')) && !alternative_names.is_empty();
    (!is_title).then_some(name)
}
