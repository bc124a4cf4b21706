//! What tests need: key pairs in software, certification requests, a small hierarchy of CAs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::{Any, BitString, SetOfVec};
use der::{Encode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::request::{CertReqInfo, ExtensionReq, Version};

use crate::asn1;
use crate::effects::{Entropy, EntropyError, UnixTime};
use crate::evidence::{AuthorizationRecord, CaaCheck, Method, NameEvidence};
use crate::key::{KeyAlgorithm, PublicKey, SignatureScheme};
use crate::name::Name;
pub(crate) use crate::profile::Profile;
use crate::serial::Serial;
use crate::tbs::{self, Certificate, Issuer, Linted, Role, RoleCertificate};
use crate::validity::Validity;

/// 2026-11-23T00:00:00Z
pub(crate) const NOW: UnixTime = UnixTime(1_795_392_000);

pub(crate) const DAY: u64 = 86_400;

/// A key pair in software.
pub(crate) enum KeyPair {
    Ec(EcdsaKeyPair, KeyAlgorithm),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl KeyPair {
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Ed25519 => Self::Edwards(Ed25519KeyPair::generate().unwrap()),
            KeyAlgorithm::P256 => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(), algorithm),
            KeyAlgorithm::P384 => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap(), algorithm),
            KeyAlgorithm::Rsa => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    /// The DER SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Vec<u8> {
        let (oid, parameters, key) = match self {
            Self::Ec(pair, KeyAlgorithm::P256) => {
                (ID_EC_PUBLIC_KEY, Some(Any::from(SECP_256_R_1)), pair.public_key().as_ref())
            }
            Self::Ec(pair, _) => (ID_EC_PUBLIC_KEY, Some(Any::from(SECP_384_R_1)), pair.public_key().as_ref()),
            Self::Edwards(pair) => (ID_ED_25519, None, pair.public_key().as_ref()),
            Self::Rsa(pair) => (RSA_ENCRYPTION, Some(Any::null()), pair.public_key().as_ref()),
        };
        spki(AlgorithmIdentifierOwned { oid, parameters }, key)
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_spki(&self.spki()).unwrap()
    }

    pub(crate) fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding = if scheme == SignatureScheme::RsaPssSha256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// Signs linted bytes as the issuer.
    pub(crate) fn certify(&self, linted: Linted) -> Certificate {
        let key = self.public();
        let scheme = key.certificate_scheme();
        let signature = self.sign(scheme, linted.tbs().as_bytes());
        linted.assemble(&key, scheme, &signature).unwrap()
    }

    /// A certification request with this subject (RFC 4514 text), these attributes and this key.
    pub(crate) fn request_with(&self, subject: &str, attributes: Vec<Attribute>) -> Vec<u8> {
        let scheme = self.public().certificate_scheme();
        let algorithm = asn1::signature_algorithm(scheme).unwrap();
        self.request_signed(subject, attributes, algorithm, |message| self.sign(scheme, message))
    }

    /// The same with a signature made in another way.
    pub(crate) fn request_signed(
        &self,
        subject: &str,
        attributes: Vec<Attribute>,
        algorithm: AlgorithmIdentifierOwned,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        #[derive(Sequence)]
        struct Request {
            info: CertReqInfo,
            algorithm: AlgorithmIdentifierOwned,
            signature: BitString,
        }
        let info = CertReqInfo {
            version: Version::V1,
            subject: if subject.is_empty() { Default::default() } else { subject.parse().unwrap() },
            public_key: der::Decode::from_der(&self.spki()).unwrap(),
            attributes: SetOfVec::try_from(attributes).unwrap(),
        };
        let signature = BitString::from_bytes(&sign(&info.to_der().unwrap())).unwrap();
        Request { info, algorithm, signature }.to_der().unwrap()
    }

    /// A certification request that asks for these extensions.
    pub(crate) fn request(&self, subject: &str, extensions: Vec<Extension>) -> Vec<u8> {
        let attributes =
            if extensions.is_empty() { vec![] } else { vec![ExtensionReq(extensions).try_into().unwrap()] };
        self.request_with(subject, attributes)
    }
}

pub(crate) fn spki(algorithm: AlgorithmIdentifierOwned, key: &[u8]) -> Vec<u8> {
    SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(key).unwrap() }.to_der().unwrap()
}

/// Entropy that counts: honest enough for tests that want to see the same bytes again.
pub(crate) struct CountingEntropy(pub(crate) u8);

impl Entropy for CountingEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(113);
            *byte = self.0;
        }
        Ok(())
    }
}

pub(crate) fn serial(seed: u8) -> Serial {
    Serial::generate(&mut CountingEntropy(seed)).unwrap()
}

/// A root and an issuing CA.
pub(crate) struct Hierarchy {
    pub(crate) root: Issuer,
    pub(crate) issuing_key: KeyPair,
    pub(crate) issuing: Issuer,
}

impl Hierarchy {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        let (root_key, issuing_key) = (KeyPair::generate(algorithm), KeyPair::generate(algorithm));
        let validity = Validity::new(NOW.minus(DAY), NOW.plus(7305 * DAY)).unwrap();
        let root = tbs::root("Example Root", "Example", &root_key.public(), serial(1), validity).unwrap();
        let root = Issuer::from_der(root_key.certify(root.lint(None).unwrap()).der()).unwrap();
        let what = RoleCertificate {
            role: Role::IssuingCa,
            common_name: "Example Issuing 1",
            organization: Some("Example"),
            names: &[],
            pki_url: Some("http://pki.example.test/"),
            seconds: 3653 * DAY,
        };
        let issuing = tbs::role(&what, &root, &issuing_key.public(), serial(2), NOW).unwrap();
        let issuing = root_key.certify(issuing.lint(Some(&root)).unwrap());
        let issuing = Issuer::from_der(issuing.der()).unwrap();
        Self { root, issuing_key, issuing }
    }
}

/// A shipped profile.
pub(crate) fn profile(name: &str) -> Profile {
    let text = match name {
        "certmaker" => include_str!("../../packaging/profiles/certmaker.toml"),
        "client" => include_str!("../../packaging/profiles/client.toml"),
        "node" => include_str!("../../packaging/profiles/node.toml"),
        "server" => include_str!("../../packaging/profiles/server.toml"),
        "shortlived" => include_str!("../../packaging/profiles/shortlived.toml"),
        _ => panic!("no profile {name} is shipped"),
    };
    Profile::from_toml(&format!("packaging/profiles/{name}.toml"), text).unwrap()
}

pub(crate) fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| Name::parse(text).unwrap()).collect()
}

/// A fresh proof by `method` for each name, CAA checked.
pub(crate) fn evidence(names: &[Name], method: Method) -> AuthorizationRecord {
    let proof = |name: &Name| NameEvidence {
        name: name.clone(),
        method,
        at: NOW.minus(60),
        validator: "1".to_owned(),
        seen: None,
        caa: Some(CaaCheck { at: NOW.minus(60), found: "no CAA records".to_owned() }),
    };
    AuthorizationRecord {
        actor: "acme:1".to_owned(),
        request_id: "r1".to_owned(),
        order: Some("o1".to_owned()),
        subject: Some(method),
        replaces: None,
        node: None,
        requester: None,
        names: names.iter().map(proof).collect(),
    }
}
