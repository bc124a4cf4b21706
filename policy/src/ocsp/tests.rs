use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::crl::Reason;
use crate::effects::UnixTime;
use crate::key::KeyAlgorithm;
use crate::serial::Serial;
use crate::tbs::{self, Certificate, Role, RoleCertificate};
use crate::testing::{CountingEntropy, DAY, Hierarchy, KeyPair, NOW, serial};
use crate::tlv;

/// A CA, its responder, and a certificate to ask for.
struct World {
    cas: Hierarchy,
    responder_key: KeyPair,
    responder: Certificate,
}

impl World {
    fn new(algorithm: KeyAlgorithm) -> Self {
        let cas = Hierarchy::new(KeyAlgorithm::P256);
        let responder_key = KeyPair::generate(algorithm);
        let what = RoleCertificate {
            role: Role::OcspResponder,
            common_name: "Example OCSP 1",
            organization: Some("Example"),
            names: &[],
            pki_url: None,
            seconds: 14 * DAY,
        };
        let tbs = tbs::role(&what, &cas.issuing, &responder_key.public(), serial(8), NOW).unwrap();
        let responder = cas.issuing_key.certify(tbs.lint(Some(&cas.issuing)).unwrap());
        Self { cas, responder_key, responder }
    }

    fn answer(&self, id: CertId, status: Status) -> SingleResponse {
        let (this_update, next_update) = (NOW.minus(60), NOW.plus(4 * DAY));
        SingleResponse { id, status, this_update, next_update, archive_cutoff: None }
    }

    fn data(&self, responses: Vec<SingleResponse>) -> ResponseData {
        let responder = responder_id(&self.responder_key.public());
        ResponseData { responder, produced_at: NOW, responses, nonce: None, extended_revoke: false }
    }

    fn sign(&self, data: &ResponseData) -> Vec<u8> {
        let der = data.to_der().unwrap();
        let scheme = self.responder_key.public().certificate_scheme();
        let signature = self.responder_key.sign(scheme, &der);
        assemble(&der, scheme, &signature, &[self.responder.der()]).unwrap()
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(KeyAlgorithm::P256));

fn id(seed: u8) -> CertId {
    CertId::new(HashAlgorithm::Sha1, &WORLD.cas.issuing, serial(seed))
}

#[test]
fn an_answer_by_every_kind_of_key_is_read_back_and_verifies() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa] {
        let world = World::new(algorithm);
        let id = CertId::new(HashAlgorithm::Sha256, &world.cas.issuing, serial(1));
        let revoked = Status::Revoked { at: NOW.minus(9), reason: Some(Reason::Superseded) };
        let mut data = world.data(vec![world.answer(id, revoked)]);
        data.nonce = Nonce::new(&[7; 32]);
        data.responses[0].archive_cutoff = Some(NOW.minus(DAY));
        let key = world.responder_key.public();
        assert_eq!(check(&data.to_der().unwrap(), &world.cas.issuing, &key), Ok(data.clone()));
        let der = world.sign(&data);
        let response = BasicResponse::from_der(&der).unwrap();
        assert_eq!(response.data(), &data);
        assert_eq!(response.verify(&world.cas.issuing), Ok(&world.responder), "{algorithm:?}");
        assert!(matches!(response.verify(&world.cas.root), Err(OcspError::Signature(_))));
        let mut other = data.clone();
        other.produced_at = NOW.plus(1);
        let scheme = key.certificate_scheme();
        let signature = world.responder_key.sign(scheme, &data.to_der().unwrap());
        let forged = assemble(&other.to_der().unwrap(), scheme, &signature, &[world.responder.der()]).unwrap();
        let forged = BasicResponse::from_der(&forged).unwrap();
        assert!(matches!(forged.verify(&world.cas.issuing), Err(OcspError::Signature(_))));
        let alone = BasicResponse::from_der(&assemble(&data.to_der().unwrap(), scheme, &signature, &[]).unwrap());
        assert!(matches!(alone.unwrap().verify(&world.cas.issuing), Err(OcspError::Signature(_))));
    }
}

#[test]
fn a_certificate_that_is_not_for_ocsp_answers_nothing() {
    let what = RoleCertificate {
        role: Role::Administrator,
        common_name: "Jane Doe",
        organization: None,
        names: &[],
        pki_url: None,
        seconds: DAY,
    };
    let key = WORLD.responder_key.public();
    let tbs = tbs::role(&what, &WORLD.cas.issuing, &key, serial(9), NOW).unwrap();
    let administrator = WORLD.cas.issuing_key.certify(tbs.lint(Some(&WORLD.cas.issuing)).unwrap());
    let data = WORLD.data(vec![WORLD.answer(id(1), Status::Good)]).to_der().unwrap();
    let signature = WORLD.responder_key.sign(key.certificate_scheme(), &data);
    let der = assemble(&data, key.certificate_scheme(), &signature, &[administrator.der()]).unwrap();
    let refused = BasicResponse::from_der(&der).unwrap().verify(&WORLD.cas.issuing).unwrap_err();
    assert!(refused.to_string().contains("not for OCSP"), "{refused}");
}

#[test]
fn error_responses_are_read_as_what_they_are() {
    for status in [
        ErrorStatus::MalformedRequest,
        ErrorStatus::InternalError,
        ErrorStatus::TryLater,
        ErrorStatus::SigRequired,
        ErrorStatus::Unauthorized,
    ] {
        assert_eq!(BasicResponse::from_der(&status.response()).unwrap_err(), OcspError::Error(status));
    }
    assert!(matches!(BasicResponse::from_der(&[0x30, 3, 10, 1, 4]), Err(OcspError::Der(_))));
}

/// A request with these elements in its TBSRequest.
fn request(parts: &[&[u8]]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::nested(&mut der, tlv::SEQUENCE, |out| tlv::element(out, tlv::SEQUENCE, &parts.concat()));
    der
}

/// A requestList for these certificates.
fn list(ids: &[CertId]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::nested(&mut der, tlv::SEQUENCE, |out| {
        ids.iter().for_each(|id| tlv::element(out, tlv::SEQUENCE, id.as_der()));
    });
    der
}

/// requestExtensions with one extension.
fn extensions(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::nested(&mut der, tlv::context(2), |out| {
        tlv::nested(out, tlv::SEQUENCE, |out| {
            tlv::nested(out, tlv::SEQUENCE, |out| {
                tlv::element(out, tlv::OBJECT_IDENTIFIER, oid);
                if critical {
                    tlv::element(out, tlv::BOOLEAN, &[0xff]);
                }
                tlv::element(out, tlv::OCTET_STRING, value);
            });
        });
    });
    der
}

fn nonce(octets: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    tlv::element(&mut value, tlv::OCTET_STRING, octets);
    value
}

#[test]
fn requests_of_every_form_are_read() {
    let ids = vec![id(1), CertId::new(HashAlgorithm::Sha256, &WORLD.cas.issuing, serial(2))];
    let read = |parts: &[&[u8]]| Request::from_der(&request(parts)).unwrap();
    assert_eq!(read(&[&list(&ids)]), Request { ids: ids.clone(), nonce: None });
    // An explicit version, and a name of whoever asks.
    let version = [0xa0, 3, 2, 1, 0];
    let requestor = [0xa1, 4, 0x82, 2, b'a', b'b'];
    assert_eq!(read(&[&version, &requestor, &list(&ids)]).ids, ids);
    for octets in [&[1][..], &[2; 16], &[3; 32], &[4; 128]] {
        let with = read(&[&list(&ids), &extensions(&NONCE, false, &nonce(octets))]);
        assert_eq!(with.nonce.unwrap().as_bytes(), octets);
    }
    assert!(read(&[&list(&ids), &extensions(&NONCE, true, &nonce(&[1]))]).nonce.is_some());
    // Unknown, and not critical.
    assert_eq!(read(&[&list(&ids), &extensions(&ARCHIVE_CUTOFF, false, &[1])]).nonce, None);
    // A signature is not looked at.
    let mut signed = Vec::new();
    tlv::nested(&mut signed, tlv::SEQUENCE, |out| {
        tlv::nested(out, tlv::SEQUENCE, |out| out.extend_from_slice(&list(&ids)));
        tlv::element(out, tlv::context(0), &[1, 2, 3]);
    });
    assert_eq!(Request::from_der(&signed).unwrap().ids, ids);
}

#[test]
fn what_is_no_request_is_refused() {
    let ids = [id(1)];
    let many: Vec<CertId> = (0..33).map(|_| id(1)).collect();
    let good = list(&ids);
    for (parts, why) in [
        (vec![], "not an OCSPRequest"),
        (vec![&list(&[])[..]], "no certificate"),
        (vec![&list(&many)[..]], "more than 32"),
        (vec![&[0xa0, 3, 2, 1, 1][..], &good], "version"),
        (vec![&good[..], &extensions(&ARCHIVE_CUTOFF, true, &[1])], "critical"),
        (vec![&good[..], &extensions(&NONCE, false, &nonce(&[]))], "1 to 128"),
        (vec![&good[..], &extensions(&NONCE, false, &nonce(&[1; 129]))], "1 to 128"),
        (vec![&good[..], &extensions(&NONCE, false, &[1, 2])], "nonce"),
        (vec![&good[..], &[5, 0]], "not an OCSPRequest"),
    ] {
        let refused = Request::from_der(&request(&parts)).unwrap_err();
        assert!(refused.to_string().contains(why), "{why}: {refused}");
    }
    assert!(Request::from_der(&vec![0x30; Request::MAX_LEN + 1]).is_err());
}

#[test]
fn an_id_says_whose_certificate_is_meant() {
    let (ours, id) = (&WORLD.cas.issuing, id(1));
    assert!(id.is_of(ours) && !id.is_of(&WORLD.cas.root));
    assert_eq!((id.serial(), id.hash()), (Some(serial(1)), Some(HashAlgorithm::Sha1)));
    // SHA-512 is not known here; the parameters may be left out.
    let (_, contents, _) = tlv::split(id.as_der()).unwrap();
    let mut other = contents.to_vec();
    other[4] ^= 1;
    let other = CertId::read(&other).unwrap();
    assert_eq!((other.hash(), other.is_of(ours)), (None, false));
    let mut bare = vec![tlv::SEQUENCE, 7];
    bare.extend_from_slice(&contents[2..9]);
    bare.extend_from_slice(&contents[11..]);
    let bare = CertId::read(&bare).unwrap();
    assert!(bare.is_of(ours));
    assert_ne!(bare.as_der(), id.as_der(), "it is repeated as it came");
}

#[test]
fn a_never_issued_serial_is_on_hold_since_1970() {
    let mut data = WORLD.data(vec![WORLD.answer(id(1), Status::NEVER_ISSUED)]);
    let key = WORLD.responder_key.public();
    assert!(check(&data.to_der().unwrap(), &WORLD.cas.issuing, &key).is_err());
    data.extended_revoke = true;
    assert_eq!(check(&data.to_der().unwrap(), &WORLD.cas.issuing, &key), Ok(data));
}

/// OpenSSL as the other side: it asks, we answer, it verifies.
#[test]
fn openssl_asks_and_believes_the_answer() {
    let folder = std::env::temp_dir().join(format!("signet-ocsp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let pem = |der: &[u8]| Certificate::from_der(der).unwrap().to_pem();
    let (issuer, root) = (WORLD.cas.issuing.certificate(), WORLD.cas.root.certificate());
    let issuer = file("issuer.pem", pem(issuer).as_bytes());
    let root = file("root.pem", pem(root).as_bytes());
    for (digest, hash) in
        [("-sha1", HashAlgorithm::Sha1), ("-sha256", HashAlgorithm::Sha256), ("-sha512", HashAlgorithm::Sha512)]
    {
        let asked = folder.join("request.der");
        let serial = format!("0x{}", serial(1));
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").arg("ocsp").args(arguments).output().expect("openssl runs");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let path = |path: &std::path::Path| path.display().to_string();
        let said = run(&[digest, "-issuer", &path(&issuer), "-serial", &serial, "-reqout", &path(&asked)]);
        let request = Request::from_der(&std::fs::read(&asked).expect(&said)).unwrap();
        assert_eq!(request.ids.len(), 1);
        assert!(request.ids[0].is_of(&WORLD.cas.issuing));
        assert_eq!(request.ids[0].hash(), Some(hash));
        assert_eq!(request.ids[0].serial(), Some(self::serial(1)));
        assert!(request.nonce.is_some());

        let revoked = Status::Revoked { at: NOW.minus(DAY), reason: Some(Reason::KeyCompromise) };
        let mut data = WORLD.data(vec![WORLD.answer(request.ids[0].clone(), revoked)]);
        data.nonce = request.nonce;
        let answer = file("response.der", &WORLD.sign(&data));
        // It would draw another nonce than it asked with, so that it makes no request here.
        let asked_for = ["-issuer", &path(&issuer), digest, "-serial", &serial, "-no_nonce"];
        let trusted = ["-CAfile", &path(&root), "-verify_other", &path(&issuer), "-attime", &NOW.0.to_string()];
        let said = run(&[&["-respin", &path(&answer), "-text"], &asked_for[..], &trusted].concat());
        assert!(said.contains("Response verify OK"), "{said}");
        assert!(said.contains("Cert Status: revoked") && said.contains("keyCompromise (0x1)"), "{said}");
        let octets = data.nonce.as_ref().unwrap().as_bytes();
        let nonce: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        assert!(said.contains(&nonce), "{said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

proptest! {
    #[test]
    fn data_survives_its_encoding(
        seeds in prop::collection::vec(any::<u8>(), 1..5), produced in 0u64..200_000_000_000, kind in 0u8..3,
        nonce in prop::option::of(prop::collection::vec(any::<u8>(), 1..=128)), extended: bool, cutoff: bool,
    ) {
        let status = match kind {
            0 => Status::Good,
            1 => Status::Revoked { at: UnixTime(produced), reason: Some(Reason::ALL[usize::from(seeds[0]) % 9]) },
            _ => Status::Unknown,
        };
        let mut data = WORLD.data(seeds.iter().map(|seed| {
            let serial = Serial::generate(&mut CountingEntropy(*seed)).unwrap();
            let id = CertId::new(HashAlgorithm::Sha256, &WORLD.cas.issuing, serial);
            let mut answer = WORLD.answer(id, status);
            answer.archive_cutoff = cutoff.then_some(NOW);
            answer
        }).collect());
        data.produced_at = UnixTime(produced);
        data.nonce = nonce.and_then(|octets| Nonce::new(&octets));
        data.extended_revoke = extended;
        prop_assert_eq!(ResponseData::from_der(&data.to_der().unwrap()), Ok(data));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::from_der(&bytes);
        let _ = ResponseData::from_der(&bytes);
        let _ = BasicResponse::from_der(&bytes);
    }

    #[test]
    fn changed_bytes_never_panic_and_never_verify(changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 1..4)) {
        static GOOD: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
            let data = WORLD.data(vec![WORLD.answer(id(1), Status::Good)]);
            let asked = request(&[&list(&[id(1)]), &extensions(&NONCE, false, &nonce(&[1; 16]))]);
            (WORLD.sign(&data), asked)
        });
        let (mut answer, mut asked) = GOOD.clone();
        for (at, flip) in changes {
            let (a, b) = (at.index(answer.len()), at.index(asked.len()));
            answer[a] ^= flip;
            asked[b] ^= flip;
        }
        let _ = Request::from_der(&asked);
        if let Ok(response) = BasicResponse::from_der(&answer)
            && response.verify(&WORLD.cas.issuing).is_ok()
        {
            prop_assert_eq!(response.data(), &WORLD.data(vec![WORLD.answer(id(1), Status::Good)]));
        }
    }
}
