//! What is read of strangers about revocation: OCSP requests, and, by the watchdog, CRLs and OCSP
//! responses.

use std::io::Cursor;
use std::num::NonZeroU16;
use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use policy::crl::{self, Draft, Entry, Envelope, Mark, Reason, Scope, Shard, Writer};
use policy::effects::UnixTime;
use policy::key::{PublicKey, SignatureScheme};
use policy::ocsp::{
    self, BasicResponse, CertId, HashAlgorithm, Nonce, Request, ResponseData, SingleResponse, Status, responder_id,
};
use policy::serial::Serial;
use policy::tbs::{self, Issuer, Linted, Role, RoleCertificate};
use policy::validity::Validity;

use super::{Verdict, verdict};

const NOW: UnixTime = UnixTime(1_795_392_000);
const DAY: u64 = 86_400;

/// CRLs, signed and not yet signed.
pub fn crl(bytes: &[u8]) -> Verdict {
    let mut seen = 0;
    let read = crl::verify(bytes, &CA.issuer, &mut |_| seen += 1);
    if let Ok(facts) = &read {
        assert_eq!(facts.entries, seen);
        // Only what the CA signed: the key signs the same bytes with the same signature.
        assert!(crl_seeds().iter().any(|seed| seed == bytes), "a CRL that nobody signed verifies");
    }
    let checked = crl::check(bytes, &CA.issuer, Scope::All);
    verdict(read.is_ok() || checked.is_ok())
}

/// OCSP requests.
pub fn ocsp_request(bytes: &[u8]) -> Verdict {
    let Ok(request) = Request::from_der(bytes) else { return Verdict::Refused };
    assert!((1..=Request::MOST_IDS).contains(&request.ids.len()) && bytes.len() <= Request::MAX_LEN);
    for id in &request.ids {
        let repeated = bytes.windows(id.as_der().len()).any(|window| window == id.as_der());
        assert!(repeated, "an answer would name another certificate");
        let _ = (id.is_of(&CA.issuer), id.serial());
    }
    assert!(request.nonce.is_none_or(|nonce| nonce.as_bytes().len() <= Nonce::MOST));
    Verdict::Accepted
}

/// OCSP responses, signed and not yet signed.
pub fn ocsp_response(bytes: &[u8]) -> Verdict {
    if let Ok(data) = ResponseData::from_der(bytes) {
        assert_eq!(data.to_der().as_deref(), Ok(bytes), "an answer has two encodings");
    }
    let Ok(response) = BasicResponse::from_der(bytes) else { return Verdict::Refused };
    if response.verify(&CA.issuer).is_ok() {
        let data = response.data().to_der().expect("it was read from DER");
        assert!(answers().iter().any(|seed| seed.to_der().as_ref() == Ok(&data)), "an answer that nobody signed");
    }
    Verdict::Accepted
}

pub(super) fn crl_seeds() -> Vec<Vec<u8>> {
    let entry = |number, mark, invalidity_date| Entry { serial: serial(number), at: NOW, mark, invalidity_date };
    let revoked = [
        entry(1, Mark::Revoked(Reason::KeyCompromise), Some(NOW.minus(DAY))),
        entry(2, Mark::Revoked(Reason::Unspecified), None),
    ];
    let removed = [entry(3, Mark::Removed, None)];
    let shard = Scope::Shard(Shard::of(serial(1), NonZeroU16::MIN));
    let urls = ["http://pki.example.test/crl/1-of-1.crl".to_owned()];
    let lists: [(Scope, Option<u64>, &[Entry]); 4] = [
        (Scope::All, None, &revoked),
        (Scope::All, None, &[]),
        (Scope::All, Some(1), &removed),
        (shard, None, &revoked),
    ];
    let signed = |(scope, base, entries): (Scope, Option<u64>, &[Entry])| {
        let (this_update, next_update) = (NOW, NOW.plus(7 * DAY));
        let draft = Draft {
            issuer: &CA.issuer,
            number: 7,
            this_update,
            next_update,
            scope,
            base,
            urls: if scope == Scope::All { &[] } else { &urls },
            freshest: None,
        };
        let mut writer = Writer::begin(&draft, Cursor::new(Vec::new())).expect("a sound draft");
        entries.iter().for_each(|entry| writer.entry(entry).expect("in order"));
        let (out, written) = writer.finish().expect("memory takes it");
        let tbs = &out.get_ref()[written.start as usize..];
        let envelope = Envelope::new(written.length, SignatureScheme::Ed25519, &CA.sign(tbs)).expect("short");
        [&envelope.head, tbs, &envelope.tail].concat()
    };
    lists.into_iter().map(signed).collect()
}

pub(super) fn ocsp_request_seeds() -> Vec<Vec<u8>> {
    // What OpenSSL 3 sends: one certificate, and a nonce; and the least that there is.
    let element = |tag: u8, contents: &[u8]| [&[tag, contents.len() as u8], contents].concat();
    let list = |hash| {
        let id = CertId::new(hash, &CA.issuer, serial(1));
        element(0x30, &element(0x30, id.as_der()))
    };
    let oid = element(6, &[0x2b, 6, 1, 5, 5, 7, 48, 1, 2]);
    let nonce = element(0x30, &[oid, element(4, &element(4, &[9; 16]))].concat());
    let about = element(0xa2, &element(0x30, &nonce));
    let with_nonce = [list(HashAlgorithm::Sha1), about].concat();
    [with_nonce, list(HashAlgorithm::Sha256)].into_iter().map(|tbs| element(0x30, &element(0x30, &tbs))).collect()
}

pub(super) fn ocsp_response_seeds() -> Vec<Vec<u8>> {
    let signed = |data: ResponseData| {
        let data = data.to_der().expect("in time");
        ocsp::assemble(&data, SignatureScheme::Ed25519, &CA.responder.sign(&data), &[&CA.certificate]).expect("short")
    };
    answers().into_iter().map(signed).collect()
}

fn answers() -> Vec<ResponseData> {
    let answer = |hash, status, nonce: Option<&[u8]>| {
        let id = CertId::new(hash, &CA.issuer, serial(1));
        let (this_update, next_update) = (NOW, NOW.plus(4 * DAY));
        let archive_cutoff = nonce.map(|_| NOW.minus(365 * DAY));
        ResponseData {
            responder: responder_id(&CA.responder.public),
            produced_at: NOW,
            responses: vec![SingleResponse { id, status, this_update, next_update, archive_cutoff }],
            nonce: nonce.and_then(Nonce::new),
            extended_revoke: status == Status::NEVER_ISSUED,
        }
    };
    let revoked = Status::Revoked { at: NOW.minus(DAY), reason: Some(Reason::Superseded) };
    vec![
        answer(HashAlgorithm::Sha1, Status::Good, None),
        answer(HashAlgorithm::Sha256, revoked, Some(&[7; 32])),
        answer(HashAlgorithm::Sha1, Status::NEVER_ISSUED, None),
        answer(HashAlgorithm::Sha1, Status::Unknown, None),
    ]
}

fn serial(number: u8) -> Serial {
    Serial::from_slice(&[number; 20]).expect("a positive number")
}

/// A CA that is the same in every run, as the corpus must be: its keys follow from constants, and
/// Ed25519 signs without chance.
static CA: LazyLock<Ca> = LazyLock::new(Ca::new);

struct Ca {
    key: Key,
    issuer: Issuer,
    responder: Key,
    /// The responder's, DER.
    certificate: Vec<u8>,
}

struct Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Ca {
    fn new() -> Self {
        let (key, responder) = (Key::new(1), Key::new(2));
        let validity = Validity::new(NOW.minus(DAY), NOW.plus(3650 * DAY)).expect("it begins before it ends");
        let root = tbs::root("Fuzz Root", "Fuzz", &key.public, serial(0x11), validity).expect("a sound root");
        let root = key.certify(root.lint(None).expect("a sound root"));
        let issuer = Issuer::from_der(&root).expect("a CA certificate");
        let what = RoleCertificate {
            role: Role::OcspResponder,
            common_name: "Fuzz OCSP",
            organization: None,
            names: &[],
            pki_url: None,
            seconds: 90 * DAY,
        };
        let leaf = tbs::role(&what, &issuer, &responder.public, serial(0x22), NOW).expect("a sound certificate");
        let certificate = key.certify(leaf.lint(Some(&issuer)).expect("a sound certificate"));
        Self { key, issuer, responder, certificate }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }
}

impl Key {
    fn new(seed: u8) -> Self {
        const SPKI: [u8; 12] = [0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0];
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 octets");
        let spki = [&SPKI[..], pair.public_key().as_ref()].concat();
        Self { public: PublicKey::from_spki(&spki).expect("a sound key"), pair }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn certify(&self, linted: Linted) -> Vec<u8> {
        let signature = self.sign(linted.tbs().as_bytes());
        let certificate = linted.assemble(&self.public, SignatureScheme::Ed25519, &signature);
        certificate.expect("it was signed a moment ago").der().to_vec()
    }
}
