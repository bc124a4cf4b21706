//! Certificates for the tests of lints: sound ones from the builders, spoilt field by field.

use const_oid::AssociatedOid;
use der::asn1::OctetString;
use der::{Decode, Encode};
use x509_cert::ext::Extension;

use super::{Lint, Subject};
use crate::asn1::RawTbs;
use crate::evidence::Method;
use crate::key::KeyAlgorithm;
use crate::profile::Decision;
use crate::tbs::{self, Issuer, Role, RoleCertificate, TbsCertificate};
use crate::testing::{self, Hierarchy, KeyPair, NOW, evidence, names, serial};

/// A certificate to be signed, and who would sign it.
pub(super) struct Fixture {
    tbs: RawTbs,
    issuer: Option<Issuer>,
}

/// A server's certificate with a P-256 key, under a profile with every URL.
pub(super) fn leaf() -> Fixture {
    leaf_with(KeyAlgorithm::P256)
}

/// A server's certificate with such a key.
pub(super) fn leaf_with(algorithm: KeyAlgorithm) -> Fixture {
    leaf_for(&KeyPair::generate(algorithm), Hierarchy::new(KeyAlgorithm::P256).issuing)
}

/// A server's certificate for the key of the CA that signs it.
pub(super) fn leaf_with_the_issuers_key() -> Fixture {
    let cas = Hierarchy::new(KeyAlgorithm::P256);
    leaf_for(&cas.issuing_key, cas.issuing)
}

fn leaf_for(key: &KeyPair, issuer: Issuer) -> Fixture {
    let names = names(&["a.example.test", "10.0.0.1"]);
    let text = include_str!("../../../packaging/profiles/server.toml").replace("# [urls]", "[urls]");
    let text = text.replace("# crl", "crl").replace("# ocsp", "ocsp").replace("# ca_issuers", "ca_issuers");
    let profile = testing::Profile::from_toml("server.toml", &text).unwrap();
    let record = evidence(&names, Method::Http01);
    let Decision::Issue(terms) = profile.decide(&key.public(), &names, None, &record, NOW) else { panic!("refused") };
    let tbs = tbs::leaf(&profile, &terms, &issuer, &key.public(), serial(9), NOW).unwrap();
    Fixture::new(&tbs, Some(issuer))
}

/// A root.
pub(super) fn root() -> Fixture {
    let cas = Hierarchy::new(KeyAlgorithm::P256);
    let certificate = tbs::Certificate::from_der(cas.root.certificate()).unwrap();
    Fixture::new(&TbsCertificate::from_der(certificate.tbs()).unwrap(), None)
}

/// A certificate for one of our own roles; issuing CAs come from the root, others from them.
pub(super) fn role(role: Role) -> Fixture {
    let cas = Hierarchy::new(KeyAlgorithm::P256);
    let issuer = if matches!(role, Role::IssuingCa) { cas.root } else { cas.issuing };
    let names = if matches!(role, Role::TlsServer) { names(&["signet.example.test"]) } else { vec![] };
    let what = RoleCertificate {
        role,
        common_name: "signet.example.test",
        organization: None,
        names: &names,
        pki_url: None,
        seconds: 30 * testing::DAY,
    };
    let tbs = tbs::role(&what, &issuer, &KeyPair::generate(KeyAlgorithm::P256).public(), serial(7), NOW).unwrap();
    Fixture::new(&tbs, Some(issuer))
}

impl Fixture {
    fn new(tbs: &TbsCertificate, issuer: Option<Issuer>) -> Self {
        Self { tbs: RawTbs::from_der(tbs.as_bytes()).unwrap(), issuer }
    }

    /// The same with a change.
    pub(super) fn with(mut self, change: impl FnOnce(&mut RawTbs)) -> Self {
        change(&mut self.tbs);
        self
    }

    /// The same without this extension.
    pub(super) fn without<T: AssociatedOid>(self) -> Self {
        self.with(|tbs| tbs.extensions.as_mut().unwrap().retain(|extension| extension.extn_id != T::OID))
    }

    /// The same with this extension changed, which must be there.
    pub(super) fn with_extension<T: AssociatedOid>(self, change: impl FnOnce(&mut Extension)) -> Self {
        self.with(|tbs| {
            let mut extensions = tbs.extensions.as_mut().unwrap().iter_mut();
            change(extensions.find(|extension| extension.extn_id == T::OID).unwrap());
        })
    }

    /// The same with another value for this extension, which is added if it is not there.
    pub(super) fn with_value<T: AssociatedOid + Encode>(self, value: &T) -> Self {
        let extn_value = OctetString::new(value.to_der().unwrap()).unwrap();
        self.with(|tbs| {
            let extensions = tbs.extensions.as_mut().unwrap();
            match extensions.iter_mut().find(|extension| extension.extn_id == T::OID) {
                Some(extension) => extension.extn_value = extn_value,
                None => extensions.push(Extension { extn_id: T::OID, critical: false, extn_value }),
            }
        })
    }

    #[track_caller]
    pub(super) fn passes(&self, lint: &Lint) {
        assert_eq!(self.check(lint), Ok(()), "{}", lint.name);
    }

    /// The lint finds something, and its detail holds this text.
    #[track_caller]
    pub(super) fn fails(&self, lint: &Lint, fragment: &str) {
        let detail = self.check(lint).expect_err(lint.name);
        assert!(detail.contains(fragment), "{}: {detail}", lint.name);
    }

    fn check(&self, lint: &Lint) -> Result<(), String> {
        check_der(&self.tbs.to_der().unwrap(), self.issuer.as_ref(), lint)
    }

    /// Like [`Self::fails`], with the encoded bytes changed.
    #[track_caller]
    pub(super) fn fails_with_bytes(&self, lint: &Lint, fragment: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut der = self.tbs.to_der().unwrap();
        change(&mut der);
        let detail = check_der(&der, self.issuer.as_ref(), lint).expect_err(lint.name);
        assert!(detail.contains(fragment), "{}: {detail}", lint.name);
    }
}

fn check_der(der: &[u8], issuer: Option<&Issuer>, lint: &Lint) -> Result<(), String> {
    let tbs = RawTbs::from_der(der).unwrap();
    (lint.check)(&Subject::new(der, &tbs, issuer))
}
