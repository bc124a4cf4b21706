//! A CA signer for tests: the real frames on a real socket, keys in software, a journal in memory,
//! and faults on demand.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use hsm::client::Client;
use hsm::journal::{Entry, Event, FORMAT, JournalId};
use hsm::wire::{
    self, Act, Actor, Call, CrlRequest, KeyStatus, MAX_FRAME, OcspRequest, Plain, Purpose, Refusal, Reply, Request,
    Response, SealStatus, SealedPaper, Status,
};
use nix::sys::socket::{AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, socket};
use policy::effects::{Clock, Entropy, EntropyError, UnixTime};
use policy::key::{PublicKey, SignatureScheme};
use policy::ocsp::ResponseData;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, Role, RoleCertificate, TbsCertificate};
use policy::validity::Validity;

use super::hexadecimal;
use crate::store::tables::{ACTIVATIONS, Activation};
use crate::store::{Change, Store};

/// 2026-11-23T00:00:00Z
pub(crate) const NOW: UnixTime = UnixTime(1_795_392_000);

/// A clock that moves when it is told to.
pub(crate) struct TestClock(Mutex<UnixTime>);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(NOW)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(seconds);
    }

    pub(crate) fn set(&self, now: UnixTime) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        *self.0.lock().unwrap()
    }
}

/// The system's generator.
pub(crate) struct TestEntropy;

impl Entropy for TestEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(out).map_err(|_| EntropyError)
    }
}

/// What goes wrong at the next certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happens before [`TestSigner::release`] is called.
    Hold,
    /// The same, and then policy says no.
    HoldAndRefuse,
    /// It is journalled, and the connection ends before the answer.
    LoseAnswer,
    /// The connection ends before anything is done.
    LoseRequest,
    /// Other bytes are signed.
    OtherBytes,
    /// One bit of the signature is wrong.
    WrongSignature,
    /// The token fails.
    Token,
    /// The signer has restarted: the serial is unknown.
    Serial,
}

/// What goes wrong when OCSP answers are signed.
#[derive(Default)]
pub(crate) struct OcspFaults {
    /// A batch with an answer for one of these is refused.
    pub(crate) refused: BTreeSet<Serial>,
    /// The token fails.
    pub(crate) away: bool,
    /// A batch is not answered before [`TestSigner::release`] is called.
    pub(crate) held: bool,
    /// How long one signature takes.
    pub(crate) slow: Duration,
}

/// The state that tests look at and change.
pub(crate) struct Inner {
    pub(crate) lines: Vec<String>,
    pub(crate) seal: SealStatus,
    pub(crate) faults: Vec<Fault>,
    /// Whether a request is held.
    pub(crate) holding: bool,
    /// Too much is waiting: everything is refused.
    pub(crate) busy: bool,
    pub(crate) signed: usize,
    pub(crate) ocsp: OcspFaults,
    /// How many OCSP answers came in each batch that was signed.
    pub(crate) batches: Vec<usize>,
    /// How often it was asked how it is.
    pub(crate) looks: usize,
    reserved: Vec<Serial>,
    connections: Vec<Arc<UnixStream>>,
    hash: Vec<u8>,
}

pub(crate) struct TestSigner {
    pub(crate) path: PathBuf,
    pub(crate) issuer: Arc<Issuer>,
    key: EcdsaKeyPair,
    /// DER of the responder's certificate.
    responder: Vec<u8>,
    ocsp_key: EcdsaKeyPair,
    inner: Mutex<Inner>,
}

pub(crate) const JOURNAL: &str = "000102030405060708090a0b0c0d0e0f";
pub(crate) const KEY: &str = "issuing-1";
pub(crate) const OCSP_KEY: &str = "ocsp-1";

impl TestSigner {
    /// Listens in `directory`, unsealed, with a journal of one entry.
    pub(crate) fn start(directory: &Path) -> Arc<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_spki(&p256_spki(key.public_key().as_ref())).unwrap();
        let validity = Validity::new(NOW.minus(86_400), NOW.plus(3650 * 86_400)).unwrap();
        let serial = Serial::generate(&mut TestEntropy).unwrap();
        let root = tbs::root("Test CA", "Test", &public, serial, validity).unwrap().lint(None).unwrap();
        let signature = key.sign(&SystemRandom::new(), root.tbs().as_bytes()).unwrap();
        let root = root.assemble(&public, SignatureScheme::EcdsaP256Sha256, signature.as_ref()).unwrap();
        let path = directory.join("ca.sock");
        let issuer = Arc::new(Issuer::from_der(root.der()).unwrap());
        let (ocsp_key, responder) = responder(&issuer, &key);
        let signer = Arc::new(Self {
            issuer,
            key,
            responder,
            ocsp_key,
            inner: Mutex::new(Inner {
                lines: Vec::new(),
                seal: SealStatus::Unsealed,
                faults: Vec::new(),
                holding: false,
                busy: false,
                signed: 0,
                ocsp: OcspFaults::default(),
                batches: Vec::new(),
                looks: 0,
                reserved: Vec::new(),
                connections: Vec::new(),
                hash: vec![0; 32],
            }),
            path: path.clone(),
        });
        signer.journal("signer", Event::Opened { journal: JournalId(JOURNAL.into()), format: FORMAT });
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&listener, Backlog::new(16).unwrap()).unwrap();
        let serving = signer.clone();
        std::thread::spawn(move || {
            // Packets, although the standard library calls it a stream.
            let listener = UnixListener::from(listener);
            while let Ok((connection, _)) = listener.accept() {
                let connection = Arc::new(connection);
                serving.inner().connections.push(connection.clone());
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(&connection));
            }
        });
        signer
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.path.clone(), Duration::from_secs(2))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Ends every connection and forgets every reservation, as a restart does.
    pub(crate) fn restart(&self) {
        let mut inner = self.inner();
        inner.reserved.clear();
        for connection in inner.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Goes on with the request that is held.
    pub(crate) fn release(&self) {
        self.inner().holding = false;
    }

    /// Writes an entry.
    pub(crate) fn journal(&self, actor: &str, event: Event) -> u64 {
        let mut inner = self.inner();
        let seq = inner.lines.len() as u64 + 1;
        let entry = Entry { seq, at: NOW, actor: actor.into(), request_id: String::new(), event };
        let json = serde_json::to_string(&entry).unwrap();
        inner.write(&json);
        seq
    }

    fn serve(&self, connection: &UnixStream) {
        let mut buffer = vec![0; MAX_FRAME];
        loop {
            let received = wire::receive_with(connection, &mut buffer, MsgFlags::empty());
            let Ok((call, paper)) = received.and_then(|(frame, paper)| Ok((wire::decode::<Call>(frame)?, paper)))
            else {
                break;
            };
            let Some(result) = self.answer(call.request, paper) else { break };
            let mut frame = Vec::new();
            wire::encode(&Reply { id: call.id, result }, &mut frame).unwrap();
            if wire::send(connection, &frame, MsgFlags::empty()).is_err() {
                break;
            }
        }
        let _ = connection.shutdown(Shutdown::Both);
    }

    /// `None` ends the connection.
    fn answer(&self, request: Request, paper: Option<OwnedFd>) -> Option<Result<Response, Refusal>> {
        let unsealed = self.inner().seal == SealStatus::Unsealed;
        if self.inner().busy {
            return Some(Err(Refusal::Busy));
        }
        Some(match request {
            Request::Status => {
                let mut inner = self.inner();
                inner.looks += 1;
                Ok(Response::Status(Status {
                    name: "ca".into(),
                    version: "0".into(),
                    seal: inner.seal.clone(),
                    journal: JournalId(JOURNAL.into()),
                    last: inner.lines.len() as u64,
                    journal_fault: None,
                    wrong_pins: 0,
                    keys: vec![KeyStatus {
                        label: OCSP_KEY.into(),
                        purpose: Purpose::Ocsp,
                        spki: p256_spki(self.ocsp_key.public_key().as_ref()),
                        certificate: Some(self.responder.clone()),
                    }],
                    sessions: 4,
                    bounds: wire::Bounds { crl: 864_000, ocsp: 864_000, responder: 1_209_600 },
                    started: NOW,
                    hardening: Vec::new(),
                    profiles: Vec::new(),
                    operations: Vec::new(),
                    busy: 0,
                    waiting: 0,
                }))
            }
            Request::Journal { after } => {
                let inner = self.inner();
                let lines = inner.lines.iter().skip(after as usize).take(10).cloned().collect();
                Ok(Response::Journal { lines, last: inner.lines.len() as u64 })
            }
            Request::Record { act, actor: Actor { who, .. } } => {
                let event = match act {
                    Act::ActivateCa { issuer, forced, failures } => Event::CaActivated { issuer, forced, failures },
                    Act::Import { issuer, sha256, certificates } => Event::Imported { issuer, sha256, certificates },
                    Act::ApproveRequest { request, digest, requester } => {
                        Event::RequestApproved { request, digest, requester }
                    }
                    Act::RejectRequest { request, digest, requester, why } => {
                        Event::RequestRejected { request, digest, requester, why }
                    }
                    Act::BindAccount { account, key } => Event::AccountBound { account, key },
                    Act::ChangeNotary { deed } => Event::NotaryChanged { deed },
                    Act::CreateEabKey { key, grant } => Event::EabKeyCreated { key, grant },
                    Act::CreateToken { token, grant } => Event::TokenCreated { token, grant },
                    Act::DeleteNode { node } => Event::NodeDeleted { node },
                    Act::EndAccount { account } => Event::AccountEnded { account },
                    Act::Hold { serials, at } => Event::Held { serials, at },
                    Act::IssueSeed { node, seed, expires } => Event::SeedIssued { node, seed, expires },
                    Act::RegisterNode { registration } => Event::NodeRegistered { registration },
                    Act::Release { serials, at } => Event::Released { serials, at },
                    Act::RemoveAdministrator { fingerprint } => Event::AdministratorRemoved { fingerprint },
                    Act::Revoke { serials, reason, at, invalidity_date } => {
                        Event::Revoked { serials, reason, at, invalidity_date }
                    }
                    Act::RevokeEabKey { key, accounts } => Event::EabKeyRevoked { key, accounts },
                    Act::SetRole { fingerprint, role } => Event::AdministratorRoleSet { fingerprint, role },
                    Act::SetToken { token, state } => Event::TokenSet { token, state },
                    Act::UseSeed { node, seed } => Event::SeedUsed { node, seed },
                };
                Ok(Response::Recorded { seq: self.journal(&who, event) })
            }
            _ if !unsealed => Err(Refusal::Sealed),
            Request::Reserve { count } => {
                let serials: Vec<Serial> = (0..count).map(|_| Serial::generate(&mut TestEntropy).unwrap()).collect();
                self.inner().reserved.extend(&serials);
                Ok(Response::Reserved(serials))
            }
            Request::Certificate(request) => return self.certificate(*request),
            Request::Crl(request) => Ok(self.crl(&request, SealedPaper::from_peer(paper.unwrap()).unwrap())),
            Request::Ocsp(request) => self.ocsp(&request),
            Request::Encrypt { label, secret: Plain(secret), .. } => Ok(boxed(&label, &secret)),
            Request::Decrypt { label, boxed } => match boxed.strip_prefix(secrets_key(&label).as_ref()) {
                Some(secret) => Ok(Response::Secret(Plain(secret.to_vec().into()))),
                None => Err(Refusal::Policy("the box of a secret does not open".into())),
            },
            other => Err(Refusal::Forbidden(format!("{other:?}"))),
        })
    }

    fn ocsp(&self, request: &OcspRequest) -> Result<Response, Refusal> {
        let read = |data: &Vec<u8>| ResponseData::from_der(data).unwrap();
        for single in request.responses.iter().map(read).flat_map(|data| data.responses) {
            if single.id.serial().is_some_and(|serial| self.inner().ocsp.refused.contains(&serial)) {
                return Err(Refusal::Policy("the answer breaks a rule".into()));
            }
        }
        if self.inner().ocsp.held {
            self.inner().holding = true;
            while self.inner().holding {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if self.inner().ocsp.away {
            return Err(Refusal::Token("CKR_DEVICE_REMOVED".into()));
        }
        let slow = self.inner().ocsp.slow;
        std::thread::sleep(slow * request.responses.len() as u32);
        self.inner().batches.push(request.responses.len());
        let sign = |data: &Vec<u8>| self.ocsp_key.sign(&SystemRandom::new(), data).unwrap().as_ref().to_vec();
        Ok(Response::Ocsp { signatures: request.responses.iter().map(sign).collect(), seq: 0 })
    }

    fn crl(&self, request: &CrlRequest, paper: SealedPaper) -> Response {
        let mut tbs = Vec::new();
        paper.section(request.start, request.length).read_to_end(&mut tbs).unwrap();
        let seq = self.inner().lines.len() as u64;
        Response::Crl { signature: self.key.sign(&SystemRandom::new(), &tbs).unwrap().as_ref().to_vec(), seq }
    }

    fn certificate(&self, request: wire::CertificateRequest) -> Option<Result<Response, Refusal>> {
        let fault = self.inner().faults.pop();
        let tbs = TbsCertificate::from_der(&request.tbs).unwrap();
        let serial = tbs.serial().unwrap();
        match fault {
            Some(Fault::Hold | Fault::HoldAndRefuse) => {
                self.inner().holding = true;
                while self.inner().holding {
                    std::thread::sleep(Duration::from_millis(2));
                }
                if fault == Some(Fault::HoldAndRefuse) {
                    return Some(Err(Refusal::Policy("the profile says no".into())));
                }
            }
            Some(Fault::LoseRequest) => return None,
            Some(Fault::Token) => return Some(Err(Refusal::Token("CKR_DEVICE_ERROR".into()))),
            Some(Fault::Serial) => self.inner().reserved.clear(),
            _ => {}
        }
        {
            let mut inner = self.inner();
            let Some(at) = inner.reserved.iter().position(|reserved| *reserved == serial) else {
                return Some(Err(Refusal::Serial));
            };
            inner.reserved.remove(at);
            inner.signed += 1;
        }
        let signature = self.key.sign(&SystemRandom::new(), &request.tbs).unwrap();
        let linted = tbs.lint(Some(&self.issuer)).unwrap();
        let certificate =
            linted.assemble(self.issuer.key(), SignatureScheme::EcdsaP256Sha256, signature.as_ref()).unwrap();
        let mut der = certificate.der().to_vec();
        let seq = self.journal(
            &request.record.actor.clone(),
            Event::Certificate {
                certificate: der.clone(),
                profile: request.profile,
                profile_sha256: String::new(),
                issuer: request.issuer,
                record: request.record,
            },
        );
        match fault {
            Some(Fault::LoseAnswer) => return None,
            Some(Fault::WrongSignature) => *der.last_mut().unwrap() ^= 1,
            Some(Fault::OtherBytes) => der = self.issuer.certificate().to_vec(),
            _ => {}
        }
        Some(Ok(Response::Certificate { certificate: der, seq }))
    }

    /// Every certificate in the journal.
    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        let entry = |line: &String| serde_json::from_str::<Entry>(&line[65..]).unwrap().event;
        let certificate = |event| match event {
            Event::Certificate { certificate, .. } => Some(Certificate::from_der(&certificate).unwrap()),
            _ => None,
        };
        self.inner().lines.iter().map(entry).filter_map(certificate).collect()
    }
}

impl Inner {
    /// Appends a line with the right hash.
    pub(crate) fn write(&mut self, json: &str) {
        self.hash = digest(&SHA256, &[self.hash.as_slice(), json.as_bytes()].concat()).as_ref().to_vec();
        self.lines.push(format!("{} {json}", hexadecimal(&self.hash)));
    }
}

/// A secret as this signer encrypts it.
pub(crate) fn boxed(label: &str, secret: &[u8]) -> Response {
    Response::Box([secrets_key(label).as_ref(), secret].concat())
}

/// What stands before a secret in its box, and binds it to its label. It hides nothing.
fn secrets_key(label: &str) -> aws_lc_rs::digest::Digest {
    digest(&SHA256, label.as_bytes())
}

/// A key for OCSP and its certificate, good for most of a year.
fn responder(issuer: &Issuer, key: &EcdsaKeyPair) -> (EcdsaKeyPair, Vec<u8>) {
    let ocsp_key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let public = PublicKey::from_spki(&p256_spki(ocsp_key.public_key().as_ref())).unwrap();
    let what = RoleCertificate {
        role: Role::OcspResponder,
        common_name: "Test OCSP",
        organization: None,
        names: &[],
        pki_url: None,
        seconds: 300 * 86_400,
    };
    let serial = Serial::generate(&mut TestEntropy).unwrap();
    let linted = tbs::role(&what, issuer, &public, serial, NOW).unwrap().lint(Some(issuer)).unwrap();
    let signature = key.sign(&SystemRandom::new(), linted.tbs().as_bytes()).unwrap();
    let certificate = linted.assemble(issuer.key(), SignatureScheme::EcdsaP256Sha256, signature.as_ref()).unwrap();
    (ocsp_key, certificate.der().to_vec())
}

/// Lets the issuing CA be active from the start.
pub(crate) fn activate(store: &Store) {
    let mut change = Change::new();
    let activation = Activation { at: NOW, actor: "admin:x".into(), failures: Vec::new() };
    change.put(&ACTIVATIONS, KEY, &activation);
    // Callers stand in a runtime, which must not block.
    let store = store.clone();
    std::thread::spawn(move || store.commit_blocking(change)).join().unwrap().unwrap();
}

/// SubjectPublicKeyInfo of an uncompressed P-256 point.
pub(crate) fn p256_spki(point: &[u8]) -> Vec<u8> {
    const PREFIX: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
        3, 0x42, 0,
    ];
    [&PREFIX, point].concat()
}
