//! Certification requests (PKCS#10, RFC 2986).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
};
use const_oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_EXTENSION_REQ, SHA_256_WITH_RSA_ENCRYPTION,
    SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::request::CertReqInfo;

use crate::asn1;
use crate::key::{KeyAlgorithm, KeyError, PublicKey};
use crate::name::{DnsName, Name, NameError};
/// A certification request whose signature proves possession of its key.
///
/// Nothing is copied from it into a certificate but the public key (J5); the names are there only
/// to be compared with what was authorised.
#[derive(Clone, Debug)]
pub struct Csr {
    der: Vec<u8>,
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
        let algorithm = proof_algorithm(key.algorithm(), &request.algorithm).ok_or(CsrError::Signature)?;
        let signature = request.signature.as_bytes().ok_or(CsrError::Signature)?;
        key.verify_with(algorithm, &signed, signature).map_err(|_| CsrError::Signature)?;

        let mut names = requested_names(&info)?;
        let common_name = single_common_name(&info)?;
        if let Some(name) = common_name.as_deref().and_then(|text| name_in_common_name(text, &names)) {
            names.push(name);
        }
        names.sort();
        names.dedup();
        Ok(Self { der: der.to_vec(), key, names, common_name })
    }

    /// The request, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
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
pub(crate) struct RawRequest<'a> {
    pub(crate) info: AnyRef<'a>,
    pub(crate) algorithm: AlgorithmIdentifierOwned,
    pub(crate) signature: BitStringRef<'a>,
}

/// How possession is proved: clients hash as they like, so more than what Signet itself signs with is
/// read, though neither SHA-1 nor PSS. Parameters must be NULL or absent.
fn proof_algorithm(
    key: KeyAlgorithm,
    identifier: &AlgorithmIdentifierOwned,
) -> Option<&'static dyn VerificationAlgorithm> {
    if identifier.parameters.as_ref().is_some_and(|parameters| !parameters.is_null()) {
        return None;
    }
    Some(match (key, identifier.oid) {
        (KeyAlgorithm::Ed25519, ID_ED_25519) => &ED25519,
        (KeyAlgorithm::P256, ECDSA_WITH_SHA_256) => &ECDSA_P256_SHA256_ASN1,
        (KeyAlgorithm::P256, ECDSA_WITH_SHA_384) => &ECDSA_P256_SHA384_ASN1,
        (KeyAlgorithm::P256, ECDSA_WITH_SHA_512) => &ECDSA_P256_SHA512_ASN1,
        (KeyAlgorithm::P384, ECDSA_WITH_SHA_256) => &ECDSA_P384_SHA256_ASN1,
        (KeyAlgorithm::P384, ECDSA_WITH_SHA_384) => &ECDSA_P384_SHA384_ASN1,
        (KeyAlgorithm::P384, ECDSA_WITH_SHA_512) => &ECDSA_P384_SHA512_ASN1,
        (KeyAlgorithm::Rsa, SHA_256_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA256,
        (KeyAlgorithm::Rsa, SHA_384_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA384,
        (KeyAlgorithm::Rsa, SHA_512_WITH_RSA_ENCRYPTION) => &RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use der::asn1::{Any, Ia5String, OctetString, SetOfVec};
    use proptest::prelude::*;
    use x509_cert::attr::Attribute;
    use x509_cert::ext::pkix::{KeyUsage, KeyUsages, SubjectAltName};
    use x509_cert::request::ExtensionReq;

    use super::*;
    use crate::testing::{KeyPair, names};

    fn extension(oid: const_oid::ObjectIdentifier, value: &impl Encode) -> Extension {
        Extension { extn_id: oid, critical: false, extn_value: OctetString::new(value.to_der().unwrap()).unwrap() }
    }

    fn dns(texts: &[&str]) -> Extension {
        let name = |text: &&str| GeneralName::DnsName(Ia5String::new(*text).unwrap());
        extension(ID_CE_SUBJECT_ALT_NAME, &SubjectAltName(texts.iter().map(name).collect()))
    }

    fn parse(subject: &str, extensions: Vec<Extension>) -> Result<Csr, CsrError> {
        Csr::from_der(&KeyPair::generate(KeyAlgorithm::P256).request(subject, extensions))
    }

    #[test]
    fn a_request_of_every_kind_of_key_is_read() {
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa] {
            let pair = KeyPair::generate(algorithm);
            let csr = Csr::from_der(&pair.request("", vec![dns(&["B.example.test", "a.example.test"])])).unwrap();
            assert_eq!(csr.key(), &pair.public());
            assert_eq!(csr.names(), names(&["a.example.test", "b.example.test"]));
            assert_eq!(csr.common_name(), None);
        }
    }

    #[test]
    fn a_common_name_that_is_a_name_counts_as_one() {
        let ask = |subject: &str, alternative: &[&str]| {
            let extensions = if alternative.is_empty() { vec![] } else { vec![dns(alternative)] };
            parse(subject, extensions).unwrap().names().to_vec()
        };
        assert_eq!(ask("CN=A.example.test", &[]), names(&["a.example.test"]));
        assert_eq!(ask("CN=a.example.test", &["a.example.test"]), names(&["a.example.test"]));
        assert_eq!(ask("CN=b.test", &["a.test"]), names(&["a.test", "b.test"]));
        assert_eq!(ask("CN=10.0.0.1", &["a.test"]), names(&["a.test", "10.0.0.1"]));
        assert_eq!(ask("CN=localhost", &[]), names(&["localhost"]));
        assert_eq!(ask("CN=backup", &["a.test"]), names(&["a.test"]));
        assert_eq!(ask("CN=Jane Doe", &[]), []);
        assert_eq!(parse("CN=Jane Doe", vec![]).unwrap().common_name(), Some("Jane Doe"));
    }

    #[test]
    fn extensions_that_the_profile_decides_are_passed_over() {
        let usage = extension(ID_CE_KEY_USAGE, &KeyUsage(KeyUsages::KeyCertSign.into()));
        let no_ca = extension(ID_CE_BASIC_CONSTRAINTS, &BasicConstraints { ca: false, path_len_constraint: None });
        let csr = parse("", vec![usage, no_ca, dns(&["a.test"])]).unwrap();
        assert_eq!(csr.names(), names(&["a.test"]));
    }

    #[test]
    fn wishes_that_would_be_forgotten_are_refused() {
        let ca = extension(ID_CE_BASIC_CONSTRAINTS, &BasicConstraints { ca: true, path_len_constraint: None });
        assert!(matches!(parse("", vec![ca]), Err(CsrError::Extension(_))));
        let must_staple = extension("1.3.6.1.5.5.7.1.24".parse().unwrap(), &vec![5u8]);
        assert!(matches!(parse("", vec![must_staple]), Err(CsrError::Extension(_))));
        let mail = GeneralName::Rfc822Name(Ia5String::new("jane@example.test").unwrap());
        let mail = extension(ID_CE_SUBJECT_ALT_NAME, &SubjectAltName(vec![mail]));
        assert!(matches!(parse("", vec![mail]), Err(CsrError::Extension(_))));
    }

    #[test]
    fn names_that_are_none_and_repetitions_are_refused() {
        assert!(matches!(parse("", vec![dns(&["a_b.test"])]), Err(CsrError::Name(_))));
        let address = GeneralName::IpAddress(OctetString::new([10, 0, 0]).unwrap());
        let address = extension(ID_CE_SUBJECT_ALT_NAME, &SubjectAltName(vec![address]));
        assert!(matches!(parse("", vec![address]), Err(CsrError::Malformed(_))));
        assert!(matches!(parse("", vec![dns(&["a.test"]), dns(&["b.test"])]), Err(CsrError::Malformed(_))));
        assert!(matches!(parse("CN=a.test,CN=b.test", vec![]), Err(CsrError::Malformed(_))));
        let request = Any::encode_from(&vec![dns(&["a.test"])]).unwrap();
        let other = Any::encode_from(&vec![dns(&["b.test"])]).unwrap();
        let two = Attribute { oid: ID_EXTENSION_REQ, values: SetOfVec::try_from(vec![request, other]).unwrap() };
        let der = KeyPair::generate(KeyAlgorithm::P256).request_with("", vec![two]);
        assert!(matches!(Csr::from_der(&der), Err(CsrError::Malformed(_))));
        let one: Attribute = ExtensionReq(vec![dns(&["a.test"])]).try_into().unwrap();
        let other: Attribute = ExtensionReq(vec![dns(&["b.test"])]).try_into().unwrap();
        let der = KeyPair::generate(KeyAlgorithm::P256).request_with("", vec![one, other]);
        assert!(matches!(Csr::from_der(&der), Err(CsrError::Malformed(_))));
    }

    #[test]
    fn possession_may_be_proved_with_a_longer_hash_but_not_with_sha_1() {
        let pair = KeyPair::generate(KeyAlgorithm::Rsa);
        let KeyPair::Rsa(rsa) = &pair else { panic!("asked for RSA") };
        let sign = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding, message: &[u8]| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, &aws_lc_rs::rand::SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        let request = |oid, padding| {
            let algorithm = AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) };
            pair.request_signed("CN=a.test", vec![], algorithm, |message| sign(padding, message))
        };
        let sha512 = request(SHA_512_WITH_RSA_ENCRYPTION, &aws_lc_rs::signature::RSA_PKCS1_SHA512);
        assert_eq!(Csr::from_der(&sha512).unwrap().names(), names(&["a.test"]));
        let sha1 = const_oid::db::rfc5912::SHA_1_WITH_RSA_ENCRYPTION;
        for (oid, why) in [(SHA_384_WITH_RSA_ENCRYPTION, "another hash than it names"), (sha1, "SHA-1")] {
            let der = request(oid, &aws_lc_rs::signature::RSA_PKCS1_SHA512);
            assert_eq!(Csr::from_der(&der).unwrap_err(), CsrError::Signature, "{why}");
        }
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let (mine, yours) = (KeyPair::generate(KeyAlgorithm::P256), KeyPair::generate(KeyAlgorithm::P256));
        let (mine, yours) = (mine.request("CN=a.test", vec![]), yours.public());
        // The victim's point in my request, under my signature: both have 65 octets.
        let at = mine.windows(4).position(|window| window == [0x03, 0x42, 0x00, 0x04]).unwrap() + 3;
        let mut stolen = mine;
        stolen[at..at + 65].copy_from_slice(&yours.spki()[yours.spki().len() - 65..]);
        assert_eq!(Csr::from_der(&stolen).unwrap_err(), CsrError::Signature);
    }

    #[test]
    fn trailing_bytes_and_large_requests_are_refused() {
        let mut der = KeyPair::generate(KeyAlgorithm::P256).request("CN=a.test", vec![]);
        der.push(0);
        assert!(matches!(Csr::from_der(&der), Err(CsrError::Malformed(_))));
        assert!(matches!(Csr::from_der(&vec![0x30; Csr::MAX_LEN + 1]), Err(CsrError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Csr::from_der(&bytes).is_err());
        }

        #[test]
        fn a_changed_request_never_panics_and_proves_nothing(
            at in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            static DER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
                KeyPair::generate(KeyAlgorithm::Ed25519).request("CN=a.example.test", vec![dns(&["a.example.test", "b.test"])])
            });
            let mut der = DER.clone();
            let at = at.index(der.len());
            der[at] ^= flip;
            // Ed25519 signatures have one form, so no change can pass.
            prop_assert!(Csr::from_der(&der).is_err());
        }
    }
}
