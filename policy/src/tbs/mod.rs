//! To-be-signed bytes, deterministic: the same inputs give the same bytes, so the signer can build
//! them again and compare (J4).

mod build;
mod certificate;

pub use build::{
    AuthorityCertificate, RequestInfo, RoleCertificate, authority, authority_request, authority_subject, leaf, renewed,
    role, root,
};
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
    pub fn path_length(&self) -> Option<u8> {
        self.path_length
    }
}

impl TbsCertificate {
    /// Largest TBSCertificate that is read or signed, in bytes. OpenSSL accepts 100 KiB of
    /// certificates in a handshake, of which one takes at most a third.
    pub const MAX_LEN: usize = 32 * 1024;

    /// Takes bytes from elsewhere (the wire). They are DER of a TBSCertificate or refused.
    pub fn from_der(der: &[u8]) -> Result<Self, TbsError> {
        if der.len() > Self::MAX_LEN {
            return Err(unusable("it is larger than 32 KiB"));
        }
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
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::authority::{Subject, SubjectFields};
    use crate::evidence::Method;
    use crate::key::KeyAlgorithm;
    use crate::name::DnsName;
    use crate::profile::Decision;
    use crate::testing::{self, DAY, Hierarchy, KeyPair, NOW, evidence, names, serial};

    const ALGORITHMS: [KeyAlgorithm; 4] =
        [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa];

    /// One hierarchy and one subject's key for all properties: making keys is what takes time.
    static CAS: LazyLock<Hierarchy> = LazyLock::new(|| Hierarchy::new(KeyAlgorithm::P256));
    static KEY: LazyLock<PublicKey> = LazyLock::new(|| KeyPair::generate(KeyAlgorithm::P256).public());

    fn terms(profile: &str, names: &[Name], now: UnixTime) -> Terms {
        let mut record = evidence(names, Method::Console);
        for proof in &mut record.names {
            proof.at = now;
            proof.caa.iter_mut().for_each(|caa| caa.at = now);
        }
        match testing::profile(profile).decide(&KEY, names, None, &record, now) {
            Decision::Issue(terms) => terms,
            other => panic!("{other:?}"),
        }
    }

    fn build(profile: &str, terms: &Terms, seed: u8, now: UnixTime) -> Result<TbsCertificate, TbsError> {
        leaf(&testing::profile(profile), terms, &CAS.issuing, &KEY, serial(seed), now)
    }

    fn role_certificate<'a>(role: Role, common_name: &'a str, names: &'a [Name]) -> RoleCertificate<'a> {
        RoleCertificate { role, common_name, organization: None, names, pki_url: None, seconds: 30 * DAY }
    }

    #[test]
    fn every_kind_of_ca_key_signs_a_chain_that_verifies() {
        for algorithm in ALGORITHMS {
            let cas = Hierarchy::new(algorithm);
            let issuing = Certificate::from_der(cas.issuing.certificate()).unwrap();
            issuing.verify(cas.root.key()).unwrap();
            assert_eq!(issuing.verify(cas.issuing.key()), Err(BadSignature));
            let names = names(&["a.example.test", "10.0.0.1"]);
            let terms = terms("server", &names, NOW);
            let tbs = leaf(&testing::profile("server"), &terms, &cas.issuing, &KEY, serial(9), NOW).unwrap();
            let leaf = cas.issuing_key.certify(tbs.clone().lint(Some(&cas.issuing)).unwrap());
            leaf.verify(cas.issuing.key()).unwrap();
            assert_eq!(leaf.tbs(), tbs.as_bytes());
            assert_eq!(leaf.names(), names);
            assert_eq!(leaf.subject(), "CN=a.example.test");
            assert_eq!(leaf.issuer(), "CN=Example Issuing 1,O=Example");
            assert_eq!(leaf.serial(), serial(9).as_bytes());
            assert_eq!(leaf.validity().seconds(), 90 * DAY);
            assert_eq!(leaf.key().as_ref(), Ok(&*KEY));
            assert_eq!(leaf.sha256(), crate::key::sha256(leaf.der()));
            let pem = leaf.to_pem();
            let (label, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
            assert_eq!((label, der.as_slice()), ("CERTIFICATE", leaf.der()));
        }
    }

    #[test]
    fn every_role_passes_the_lints() {
        for role_kind in [Role::Administrator, Role::OcspResponder, Role::TlsServer] {
            let is_server = matches!(role_kind, Role::TlsServer);
            let names = if is_server { names(&["signet.example.test", "127.0.0.1"]) } else { vec![] };
            let mut what = role_certificate(role_kind, "signet.example.test", &names);
            what.pki_url = Some("http://pki.example.test/");
            let tbs = role(&what, &CAS.issuing, &KEY, serial(5), NOW).unwrap();
            assert_eq!(tbs.names().unwrap(), names);
            assert_eq!(tbs.common_name().unwrap().as_deref(), Some("signet.example.test"));
            let _ = tbs.lint(Some(&CAS.issuing)).unwrap();
        }
    }

    #[test]
    fn an_authority_signs_itself_and_another_and_asks_for_its_certificate() {
        let fields = |common_name: &str| SubjectFields {
            common_name: common_name.to_owned(),
            country: Some("DE".to_owned()),
            state: Some("Bayern".to_owned()),
            locality: Some("Fürth".to_owned()),
            organization: Some("Example".to_owned()),
            organizational_unit: Some("Security".to_owned()),
        };
        let subject = |common_name: &str| Subject::new(fields(common_name)).unwrap();
        let (above, below) = (subject("Departments"), subject("Department 1"));
        let names = [DnsName::parse("ca.example.test").unwrap()];
        let what = AuthorityCertificate {
            subject: &above,
            names: &names,
            path_length: 0,
            pki_url: Some("http://pki.example.test/"),
            seconds: 3652 * DAY,
            not_after: None,
        };
        for algorithm in ALGORITHMS {
            let (top, under) = (KeyPair::generate(algorithm), KeyPair::generate(algorithm));
            let root = authority(&what, None, &top.public(), serial(1), NOW).unwrap();
            assert_eq!(root.validity().unwrap().seconds(), 3652 * DAY);
            let root = top.certify(root.lint(None).unwrap());
            assert_eq!(root.subject(), "CN=Departments,OU=Security,O=Example,L=Fürth,ST=Bayern,C=DE");
            let issuer = Issuer::from_der(root.der()).unwrap();
            let what = AuthorityCertificate { subject: &below, ..what.clone() };
            let tbs = authority(&what, Some(&issuer), &under.public(), serial(2), NOW).unwrap();
            let below = top.certify(tbs.lint(Some(&issuer)).unwrap());
            below.verify(issuer.key()).unwrap();
            assert_eq!(below.crl_urls().len(), 1);
            // J7, also where somebody asks for more.
            assert!(below.validity().not_after() <= root.validity().not_after());
            let late = AuthorityCertificate { not_after: Some(root.validity().not_after().plus(1)), ..what.clone() };
            assert!(matches!(
                authority(&late, Some(&issuer), &under.public(), serial(2), NOW),
                Err(TbsError::Validity(ValidityError::EndsLate(_)))
            ));
            // Nothing may follow below it.
            let issuer = Issuer::from_der(below.der()).unwrap();
            let third = authority(&what, Some(&issuer), &top.public(), serial(3), NOW).unwrap();
            assert!(matches!(third.lint(Some(&issuer)), Err(TbsError::Lint(_))));

            let request = authority_request(what.subject, &names, &under.public()).unwrap();
            let signature = under.sign(under.public().certificate_scheme(), request.as_bytes());
            assert!(matches!(request.clone().assemble(&signature[1..]), Err(TbsError::Signature(_))));
            let der = request.assemble(&signature).unwrap();
            // It is well-formed, and asks for what no leaf may ask for.
            let refused = crate::csr::Csr::from_der(&der).unwrap_err();
            assert!(matches!(refused, crate::csr::CsrError::Extension(_)), "{refused}");
        }
    }

    #[test]
    fn a_renewed_certificate_differs_in_serial_and_validity_only() {
        let what = RoleCertificate {
            pki_url: Some("http://pki.example.test"),
            ..role_certificate(Role::OcspResponder, "OCSP 1", &[])
        };
        let first = role(&what, &CAS.issuing, &KEY, serial(5), NOW).unwrap();
        let before = CAS.issuing_key.certify(first.lint(Some(&CAS.issuing)).unwrap());
        let later = NOW.plus(10 * DAY);
        let again = renewed(&before, &CAS.issuing, serial(6), later, 14 * DAY).unwrap();
        let what = RoleCertificate { seconds: 14 * DAY, ..what };
        assert_eq!(again, role(&what, &CAS.issuing, &KEY, serial(6), later).unwrap());
        assert!(again.lint(Some(&CAS.issuing)).is_ok());
        assert!(matches!(renewed(&before, &CAS.root, serial(6), later, DAY), Err(TbsError::Signature(_))));
    }

    #[test]
    fn roles_with_names_that_do_not_belong_are_refused() {
        let names = names(&["signet.example.test"]);
        let what = role_certificate(Role::Administrator, "Jane Doe", &names);
        assert!(matches!(role(&what, &CAS.issuing, &KEY, serial(5), NOW), Err(TbsError::Der(_))));
        let what = role_certificate(Role::TlsServer, "other.example.test", &names);
        let tbs = role(&what, &CAS.issuing, &KEY, serial(5), NOW).unwrap();
        let Err(TbsError::Lint(findings)) = tbs.lint(Some(&CAS.issuing)) else { panic!("passed") };
        assert_eq!(findings[0].lint, "common_name_in_names");
        for name in ["", " a", "a\nb", &"a".repeat(65)] {
            let what = role_certificate(Role::Administrator, name, &[]);
            assert!(matches!(role(&what, &CAS.issuing, &KEY, serial(5), NOW), Err(TbsError::Der(_))));
        }
    }

    #[test]
    fn only_a_ca_is_an_issuer() {
        let what = role_certificate(Role::Administrator, "Jane Doe", &[]);
        let tbs = role(&what, &CAS.issuing, &KEY, serial(5), NOW).unwrap();
        let administrator = CAS.issuing_key.certify(tbs.lint(Some(&CAS.issuing)).unwrap());
        let error = Issuer::from_der(administrator.der()).unwrap_err();
        assert!(error.to_string().contains("not a CA certificate"), "{error}");
    }

    #[test]
    fn a_certificate_for_the_issuers_own_key_is_never_signed() {
        let what = role_certificate(Role::Administrator, "Jane Doe", &[]);
        let tbs = role(&what, &CAS.issuing, CAS.issuing.key(), serial(5), NOW).unwrap();
        let Err(TbsError::Lint(findings)) = tbs.lint(Some(&CAS.issuing)) else { panic!("passed") };
        assert!(findings.iter().any(|finding| finding.lint == "key_differs_from_issuer"));
    }

    #[test]
    fn a_wrong_signature_is_never_assembled() {
        let what = role_certificate(Role::Administrator, "Jane Doe", &[]);
        let linted = role(&what, &CAS.issuing, &KEY, serial(5), NOW).unwrap().lint(Some(&CAS.issuing)).unwrap();
        let scheme = CAS.issuing.key().certificate_scheme();
        let mut signature = CAS.issuing_key.sign(scheme, linted.tbs().as_bytes());
        let assemble = |scheme, signature: &[u8]| linted.clone().assemble(CAS.issuing.key(), scheme, signature);
        assert!(assemble(scheme, &signature).is_ok());
        assert!(matches!(assemble(SignatureScheme::EcdsaP384Sha384, &signature), Err(TbsError::Der(_))));
        *signature.last_mut().unwrap() ^= 1;
        assert_eq!(assemble(scheme, &signature), Err(TbsError::Signature(BadSignature)));
        assert_eq!(assemble(scheme, b""), Err(TbsError::Signature(BadSignature)));
    }

    #[test]
    fn nothing_is_signed_after_the_issuers_end() {
        let after = CAS.issuing.validity().not_after().plus(2 * DAY);
        let terms = terms("server", &names(&["a.test"]), after);
        assert_eq!(build("server", &terms, 1, after), Err(TbsError::Validity(ValidityError::Empty)));
    }

    #[test]
    fn times_change_their_form_in_2050() {
        let last = UnixTime(2_524_607_999); // 2049-12-31T23:59:59Z
        let validity = Validity::new(last, last.plus(1)).unwrap();
        let tbs = root("Root", "Example", &KEY, serial(3), validity).unwrap();
        let bytes = tbs.as_bytes();
        assert!(bytes.windows(15).any(|window| window == b"\x17\x0d491231235959Z"));
        assert!(bytes.windows(17).any(|window| window == b"\x18\x0f20500101000000Z"));
        assert_eq!(tbs.validity(), Ok(validity));
        assert!(tbs.lint(None).is_ok());
        assert!(matches!(
            root("Root", "Example", &KEY, serial(3), Validity::new(last, UnixTime(u64::MAX)).unwrap()),
            Err(TbsError::Der(_))
        ));
    }

    fn some_names() -> impl Strategy<Value = Vec<Name>> {
        let dns = "(\\*\\.)?[a-z0-9]{1,10}\\.[a-z]{2,10}\\.test".prop_map(|text| Name::parse(&text).unwrap());
        let ip = any::<[u8; 3]>().prop_map(|[a, b, c]| Name::Ip([10, a, b, c].into()));
        prop::collection::vec(prop_oneof![3 => dns, 1 => ip], 1..20)
    }

    proptest! {
        #[test]
        fn what_was_approved_is_what_is_read_back_and_made_again(
            requested in some_names(), seed: u8, days in 0u64..3700, short: bool,
        ) {
            let profile = if short { "shortlived" } else { "server" };
            // Also before the issuer begins, where notBefore is moved, and near its end.
            let now = CAS.issuing.validity().not_before().plus(days * DAY);
            let terms = terms(profile, &requested, now);
            let Ok(tbs) = build(profile, &terms, seed, now) else {
                prop_assert!(now.minus(terms.backdate) > CAS.issuing.validity().not_after());
                return Ok(());
            };
            prop_assert_eq!(tbs.serial(), Ok(serial(seed)));
            prop_assert_eq!(tbs.key(), Ok(KEY.clone()));
            prop_assert_eq!(tbs.names(), Ok(terms.names.clone()));
            prop_assert_eq!(tbs.common_name().unwrap(), terms.common_name.clone());
            prop_assert!(tbs.validity().unwrap().seconds() <= terms.seconds);
            prop_assert_eq!(TbsCertificate::from_der(tbs.as_bytes()), Ok(tbs.clone()));
            // J4: the signer needs nothing but the bytes to make them again.
            let again = build(profile, &terms, seed, tbs.signed_at(&terms).unwrap()).unwrap();
            prop_assert_eq!(&again, &tbs);
            prop_assert!(tbs.lint(Some(&CAS.issuing)).is_ok());
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(TbsCertificate::from_der(&bytes).is_err());
            prop_assert!(Certificate::from_der(&bytes).is_err());
            prop_assert!(Issuer::from_der(&bytes).is_err());
        }

        #[test]
        fn changed_bytes_never_panic_and_never_verify(
            changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 1..4),
        ) {
            let mut der = CAS.issuing.certificate().to_vec();
            for (at, flip) in changes {
                let at = at.index(der.len());
                der[at] ^= flip;
            }
            if der == CAS.issuing.certificate() {
                return Ok(()); // two changes that cancel each other
            }
            let _ = Issuer::from_der(&der);
            if let Ok(certificate) = Certificate::from_der(&der) {
                prop_assert_eq!(certificate.verify(CAS.root.key()), Err(BadSignature));
                if let Ok(tbs) = TbsCertificate::from_der(certificate.tbs()) {
                    let _ = (tbs.serial(), tbs.validity(), tbs.key(), tbs.names(), tbs.common_name());
                    let _ = tbs.lint(Some(&CAS.root));
                }
            }
        }
    }
}
