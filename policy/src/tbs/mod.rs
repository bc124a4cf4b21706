//! To-be-signed bytes, deterministic: the same inputs give the same bytes, so the signer can build
//! them again and compare (J4).

mod build;
mod certificate;

pub use build::{RoleCertificate, leaf, role, root};
pub use certificate::Certificate;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName, SubjectKeyIdentifier};

use crate::asn1::{self, RawCertificate, RawTbs};
use crate::effects::UnixTime;
use crate::key::{BadSignature, PublicKey, SignatureScheme};
use crate::lint::{self, Finding};
use crate::name::Name;
use crate::profile::Terms;
use crate::serial::Serial;
use crate::validity::{Validity, ValidityError};

/// A CA certificate in the role of an issuer, parsed once.
#[derive(Clone, Debug)]
pub struct Issuer {
    certificate: Vec<u8>,
    key: PublicKey,
    validity: Validity,
    subject: x509_cert::name::Name,
    key_identifier: Vec<u8>,
    path_length: Option<u8>,
}

/// The DER of a TBSCertificate (RFC 5280 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TbsCertificate(Vec<u8>);

/// TBS bytes that every lint has read without a finding. Only these may be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linted(TbsCertificate);

/// The kinds of certificates the ceremony and the daemon itself need; leaves come from profiles.
#[derive(Clone, Debug)]
pub enum Role {
    /// Enrolled administrator: clientAuth, named by common name.
    Administrator,
    /// Issuing CA under the root: path length 0.
    IssuingCa,
    /// Delegated OCSP responder, RFC 6960 section 4.2.2.2, with id-pkix-ocsp-nocheck.
    OcspResponder,
    /// The appliance's own TLS server.
    TlsServer,
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TbsError {
    /// DER that cannot be encoded or decoded, or does not say what is needed of it.
    #[error("the certificate is not usable: {0}")]
    Der(String),
    /// A lint found something.
    #[error("the certificate would break {} rule(s), first: {}", .0.len(), .0.first().map(|finding| finding.to_string()).unwrap_or_default())]
    Lint(Vec<Finding>),
    /// The signature is not one over these bytes by the issuer.
    #[error("the certificate's signature is not the issuer's: ask the token again, and suspect it")]
    Signature(#[from] BadSignature),
    /// No validity is left.
    #[error(transparent)]
    Validity(#[from] ValidityError),
}

impl Issuer {
    /// Parses a CA certificate (DER) and checks that it is one: cA TRUE, keyCertSign.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        let certificate = Certificate::from_der(der)?;
        let raw = parse(certificate.tbs())?;
        let constraints = raw.decode::<BasicConstraints>().filter(|constraints| constraints.ca);
        let constraints =
            constraints.ok_or_else(|| unusable("it is not a CA certificate (basicConstraints cA TRUE)"))?;
        if !raw.decode::<KeyUsage>().is_some_and(|usage| usage.key_cert_sign()) {
            return Err(unusable("its key may not sign certificates (keyUsage keyCertSign)"));
        }
        let key = certificate.key().map_err(|error| unusable(&error.to_string()))?;
        let key_identifier = match raw.decode::<SubjectKeyIdentifier>() {
            Some(identifier) => identifier.0.as_bytes().to_vec(),
            None => key.key_identifier().to_vec(),
        };
        Ok(Self {
            certificate: der.to_vec(),
            key,
            validity: certificate.validity(),
            subject: raw.subject,
            key_identifier,
            path_length: constraints.path_len_constraint,
        })
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuer's key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The issuer's own validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Its subject key identifier: what its certificates name as authority key identifier.
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// Its subject, the issuer of its certificates.
    pub(crate) fn subject(&self) -> &x509_cert::name::Name {
        &self.subject
    }

    /// How many CA certificates may follow below it, if that is limited.
    pub(crate) fn path_length(&self) -> Option<u8> {
        self.path_length
    }
}

impl TbsCertificate {
    /// Takes bytes from elsewhere (the wire). They are DER of a TBSCertificate or refused.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        parse(der).map(|_| Self(der.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Runs every lint over these bytes. `issuer` is `None` for a self-signed root.
    pub fn lint(self, issuer: Option<&Issuer>) -> Result<Linted, TbsError> {
        let findings = lint::run(&self.0, &parse(&self.0)?, issuer);
        if findings.is_empty() { Ok(Linted(self)) } else { Err(TbsError::Lint(findings)) }
    }

    /// The serial number in the bytes.
    pub fn serial(&self) -> Result<Serial, TbsError> {
        Serial::from_slice(parse(&self.0)?.serial.value()).map_err(|error| unusable(&error.to_string()))
    }

    /// The validity in the bytes.
    pub fn validity(&self) -> Result<Validity, TbsError> {
        validity(&parse(&self.0)?)
    }

    /// The subject's key in the bytes.
    pub fn key(&self) -> Result<PublicKey, TbsError> {
        subject_key(&parse(&self.0)?).map_err(|error| unusable(&error.to_string()))
    }

    /// The subject alternative names in the bytes (DNS and IP; a name of another kind or with a
    /// syntax error is an error), in their order.
    pub fn names(&self) -> Result<Vec<Name>, TbsError> {
        let raw = parse(&self.0)?;
        if raw.extension(const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME).is_none() {
            return Ok(Vec::new());
        }
        let names =
            raw.decode::<SubjectAltName>().ok_or_else(|| unusable("its subject alternative names do not decode"))?;
        let read = |name| {
            asn1::subject_alternative_name(name).ok_or_else(|| unusable("it holds a name that is neither DNS nor IP"))
        };
        names.0.iter().map(read).collect()
    }

    /// The subject's common name in the bytes, if there is one.
    pub fn common_name(&self) -> Result<Option<String>, TbsError> {
        Ok(asn1::common_names(&parse(&self.0)?.subject).next().map(str::to_owned))
    }

    /// The time of signing that these bytes imply: with it, and with the same profile, terms,
    /// issuer, key and serial, [`leaf`] makes the same bytes again.
    ///
    /// That holds also where notBefore was moved up to the issuer's: the time is then later than
    /// the real one, by at most `terms.backdate`.
    pub fn signed_at(&self, terms: &Terms) -> Result<UnixTime, TbsError> {
        Ok(self.validity()?.not_before().plus(terms.backdate))
    }
}

impl Linted {
    /// The bytes to sign.
    pub fn tbs(&self) -> &TbsCertificate {
        &self.0
    }

    /// Joins the bytes and a signature that verifies with the issuer's key; refuses one that does not.
    pub fn assemble(
        self,
        issuer_key: &PublicKey,
        scheme: SignatureScheme,
        signature: &[u8],
    ) -> Result<Certificate, TbsError> {
        let tbs = self.0.as_bytes();
        let algorithm = parse(tbs)?.signature;
        if asn1::signature_scheme(&algorithm) != Some(scheme) {
            return Err(unusable("it names another signature algorithm than the one it was signed with"));
        }
        issuer_key.verify(scheme, tbs, signature)?;
        let certificate = RawCertificate {
            tbs: AnyRef::from_der(tbs).map_err(der_error)?,
            algorithm,
            signature: BitStringRef::from_bytes(signature).map_err(der_error)?,
        };
        Certificate::from_der(&certificate.to_der().map_err(der_error)?)
    }
}

fn parse(der: &[u8]) -> Result<RawTbs, TbsError> {
    RawTbs::from_der(der).map_err(der_error)
}

fn der_error(error: der::Error) -> TbsError {
    TbsError::Der(error.to_string())
}

fn unusable(why: &str) -> TbsError {
    TbsError::Der(why.to_owned())
}

/// The validity of a parsed certificate.
pub(crate) fn validity(raw: &RawTbs) -> Result<Validity, TbsError> {
    let read = |time| asn1::read_time(time).ok_or_else(|| unusable("its validity does not decode"));
    Ok(Validity::new(read(&raw.validity.not_before)?, read(&raw.validity.not_after)?)?)
}

/// The key of a parsed certificate.
pub(crate) fn subject_key(raw: &RawTbs) -> Result<PublicKey, crate::key::KeyError> {
    PublicKey::from_spki(&raw.key.to_der().map_err(|_| crate::key::KeyError::Malformed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Method;
    use crate::key::KeyAlgorithm;
    use crate::profile::Decision;
    use crate::testing::{self, Hierarchy, KeyPair, NOW, evidence, names, serial};

    const ALGORITHMS: [KeyAlgorithm; 4] =
        [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa];

    #[test]
    fn every_kind_of_ca_key_signs_a_chain_that_verifies() {
        for algorithm in ALGORITHMS {
            let cas = Hierarchy::new(algorithm);
            let issuing = Certificate::from_der(cas.issuing.certificate()).unwrap();
            issuing.verify(cas.root.key()).unwrap();
            assert_eq!(issuing.verify(cas.issuing.key()), Err(BadSignature));
            let key = KeyPair::generate(KeyAlgorithm::P256).public();
            let names = names(&["a.example.test", "10.0.0.1"]);
            let profile = testing::profile("server");
            let record = evidence(&names, Method::Http01);
            let Decision::Issue(terms) = profile.decide(&key, &names, None, &record, NOW) else { panic!("refused") };
            let tbs = leaf(&profile, &terms, &cas.issuing, &key, serial(9), NOW).unwrap();
            let leaf = cas.issuing_key.certify(tbs.lint(Some(&cas.issuing)).unwrap());
            leaf.verify(cas.issuing.key()).unwrap();
            assert_eq!(leaf.names(), names);
            assert_eq!(leaf.subject(), "CN=a.example.test");
            assert_eq!(leaf.issuer(), "CN=Example Issuing 1,O=Example");
            assert_eq!(leaf.serial(), serial(9).as_bytes());
            assert_eq!(leaf.validity().seconds(), 90 * testing::DAY);
            assert!(leaf.to_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
        }
    }
}
