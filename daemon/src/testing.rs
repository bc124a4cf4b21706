//! What tests of the daemon's front need: certificates with keys in software, a signer that speaks
//! the wire, and services over a store of their own.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use hsm::client::Client;
use hsm::journal::JournalId;
use hsm::wire::{
    self, Call, Challenge, KeyStatus, MAX_FRAME, Purpose, Refusal, Reply, Request, Response, SealStatus, Status,
};
use nix::sys::socket::{AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, socket};
use policy::effects::{Clock, Entropy, EntropyError, UnixTime};
use policy::key::{KeyAlgorithm, PublicKey, SignatureScheme};
use policy::name::Name;
use policy::profile::Profile;
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer, Linted, Role, RoleCertificate};
use policy::validity::Validity;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config;
use crate::issuance::ca::Ca;
use crate::revocation::Desk;
use crate::service::health::Vitals;
use crate::service::limits::Limits;
use crate::service::metrics::Metrics;
use crate::service::notary::Notary;
use crate::service::{Random, Services};
use crate::store::{self, EngineKind, Store};

/// 2026-11-23T00:00:00Z
pub(crate) const NOW: UnixTime = UnixTime(1_795_392_000);
pub(crate) const DAY: u64 = 86_400;

/// A clock that stands still.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        NOW
    }
}

/// The system's generator.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(out).map_err(|_| EntropyError)
    }
}

/// A key pair in software.
pub(crate) enum KeyPair {
    Ec(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl KeyPair {
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Ed25519 => Self::Edwards(Ed25519KeyPair::generate().unwrap()),
            KeyAlgorithm::P256 => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            KeyAlgorithm::P384 => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap()),
            KeyAlgorithm::Rsa => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        let spki = match self {
            Self::Ec(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        PublicKey::from_spki(&spki).unwrap()
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        let pkcs8 = match self {
            Self::Ec(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(pair)
                .unwrap()
                .as_ref()
                .to_vec(),
        };
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8))
    }

    pub(crate) fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding = if scheme == SignatureScheme::RsaPssSha256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn certify(&self, linted: Linted) -> Certificate {
        let scheme = self.public().certificate_scheme();
        let signature = self.sign(scheme, linted.tbs().as_bytes());
        linted.assemble(&self.public(), scheme, &signature).unwrap()
    }
}

/// A root that issues by itself.
pub(crate) struct Authority {
    pub(crate) key: KeyPair,
    pub(crate) issuer: Arc<Issuer>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate(KeyAlgorithm::P256);
        let validity = Validity::new(NOW.minus(1000 * DAY), NOW.plus(3650 * DAY)).unwrap();
        let root = tbs::root("Test Root", "Test", &key.public(), serial(), validity).unwrap();
        let root = key.certify(root.lint(None).unwrap());
        Self { issuer: Arc::new(Issuer::from_der(root.der()).unwrap()), key }
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.issuer.certificate().to_vec())
    }

    /// A certificate for one of our roles that begins at `from` and lasts 30 days.
    pub(crate) fn certificate(&self, role: Role, key: &PublicKey, from: UnixTime) -> Certificate {
        let names = [Name::parse("localhost.example.test").unwrap(), Name::parse("127.0.0.1").unwrap()];
        let names = if matches!(role, Role::TlsServer) { &names[..] } else { &[] };
        let what = RoleCertificate {
            role,
            common_name: if names.is_empty() { "Somebody" } else { "localhost.example.test" },
            organization: None,
            names,
            pki_url: None,
            seconds: 30 * DAY,
        };
        let tbs = tbs::role(&what, &self.issuer, key, serial(), from).unwrap();
        self.key.certify(tbs.lint(Some(&self.issuer)).unwrap())
    }
}

fn serial() -> Serial {
    Serial::generate(&mut SystemEntropy).unwrap()
}

/// A signer that speaks the wire: one TLS key `tls-1`, and a seal that opens to any box that
/// answers its challenge.
pub(crate) struct Signer {
    pub(crate) path: PathBuf,
    key: KeyPair,
    pub(crate) state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) seal: SealStatus,
    /// How long each handshake signature takes.
    pub(crate) stalled: bool,
    /// Handshakes that end the connection instead: the signer restarts.
    pub(crate) cut: usize,
    pub(crate) challenge: Option<[u8; 32]>,
    /// Acts that it was told.
    pub(crate) acts: usize,
}

impl Signer {
    /// Listens in `directory`.
    pub(crate) fn start(directory: &Path, key: KeyPair) -> Arc<Self> {
        let path = directory.join("signer.sock");
        let bound = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(bound.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&bound, Backlog::new(16).unwrap()).unwrap();
        let state = State { seal: SealStatus::Sealed, stalled: false, cut: 0, challenge: None, acts: 0 };
        let signer = Arc::new(Self { path, key, state: Mutex::new(state) });
        let serving = Arc::clone(&signer);
        // The standard library's listener takes any kind of unix socket.
        let listener = UnixListener::from(bound);
        std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                let connection = Arc::new(connection);
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(&connection));
            }
        });
        signer
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.path.clone(), Duration::from_secs(60))
    }

    fn serve(self: Arc<Self>, connection: &Arc<UnixStream>) {
        let mut buffer = vec![0; MAX_FRAME];
        while let Ok(call) =
            wire::receive(connection.as_ref(), &mut buffer, MsgFlags::empty()).and_then(wire::decode::<Call>)
        {
            if matches!(call.request, Request::Handshake { .. }) && self.cuts() {
                let _ = connection.shutdown(Shutdown::Both);
                return;
            }
            // A thread each, as the real one has: slow signatures do not wait for each other.
            let (signer, connection) = (Arc::clone(&self), Arc::clone(connection));
            std::thread::spawn(move || {
                let mut frame = Vec::new();
                wire::encode(&Reply { id: call.id, result: signer.answer(call.request) }, &mut frame).unwrap();
                let _ = wire::send(connection.as_ref(), &frame, MsgFlags::empty());
            });
        }
    }

    fn cuts(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let cuts = state.cut > 0;
        state.cut = state.cut.saturating_sub(1);
        cuts
    }

    fn answer(&self, request: Request) -> Result<Response, Refusal> {
        match request {
            Request::Status => Ok(Response::Status(self.status())),
            Request::Journal { .. } => Ok(Response::Journal { lines: Vec::new(), last: 0 }),
            Request::Handshake { key, scheme, message } if key == "tls-1" => {
                while self.state.lock().unwrap().stalled {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(Response::Signature(self.key.sign(scheme, &message)))
            }
            Request::Record { .. } => {
                self.state.lock().unwrap().acts += 1;
                Ok(Response::Recorded { seq: 1 })
            }
            Request::Challenge => {
                let challenge = Random::new(Box::new(SystemEntropy)).bytes().unwrap();
                self.state.lock().unwrap().challenge = Some(challenge);
                let (statement, identity_spki, signature) = (vec![1], vec![2], vec![3]);
                Ok(Response::Challenge(Challenge { challenge, statement, identity_spki, signature }))
            }
            Request::Unseal { boxed, .. } => {
                let mut state = self.state.lock().unwrap();
                if state.challenge.take() != Some(boxed.challenge) {
                    return Err(Refusal::Challenge);
                }
                if boxed.ciphertext != b"right" {
                    return Err(Refusal::Pin { wrong_pins: 1 });
                }
                state.seal = SealStatus::Unsealed;
                Ok(Response::Unsealed)
            }
            Request::Seal { .. } => {
                self.state.lock().unwrap().seal = SealStatus::Sealed;
                Ok(Response::Sealing)
            }
            Request::Encrypt { label, secret, .. } if self.state.lock().unwrap().seal == SealStatus::Unsealed => {
                Ok(crate::issuance::testing::boxed(&label, &secret.0))
            }
            other => Err(Refusal::Forbidden(format!("{other:?}"))),
        }
    }

    fn status(&self) -> Status {
        let key = KeyStatus {
            label: "tls-1".to_owned(),
            purpose: Purpose::Tls,
            spki: self.key.public().spki().to_vec(),
            certificate: None,
        };
        Status {
            name: "test".to_owned(),
            version: "0".to_owned(),
            seal: self.state.lock().unwrap().seal.clone(),
            journal: JournalId("00".repeat(16)),
            last: 0,
            journal_fault: None,
            wrong_pins: 0,
            keys: vec![key],
            sessions: 4,
            bounds: wire::Bounds { crl: 864_000, ocsp: 864_000, responder: 1_209_600 },
            started: NOW,
            hardening: Vec::new(),
            profiles: Vec::new(),
            operations: Vec::new(),
            busy: 0,
            waiting: 0,
        }
    }
}

/// Services over a new store in `directory` and the signer at `socket`, which need not be there.
pub(crate) fn services(directory: &Path, authority: &Authority, socket: PathBuf) -> Arc<Services> {
    limited_services(directory, authority, socket, None)
}

/// The same, with a limit of connections from one address.
pub(crate) fn limited_services(
    directory: &Path,
    authority: &Authority,
    socket: PathBuf,
    connections_per_address: Option<u32>,
) -> Arc<Services> {
    let store = Store::new(store::open(EngineKind::Sqlite, &directory.join("store")).unwrap());
    crate::issuance::testing::activate(&store);
    let profile = include_str!("../../packaging/profiles/server.toml");
    let profile = Profile::from_toml("server.toml", profile).unwrap();
    let text = include_str!("../../packaging/signetd.toml");
    let config = config::Config::from_toml("signetd.toml", text).unwrap();
    let in_force = config::InForce { config: config.clone(), file: directory.join("signetd.toml"), read: NOW };
    let rate_limits = config::RateLimits { connections_per_address, ..config.rate_limits };
    let ca = Ca::new(Client::new(socket, Duration::from_secs(5)), store.clone());
    Arc::new(Services {
        acme: config.acme,
        alternate_chains: crate::current::Current::new(Vec::new()),
        clock: Arc::new(Still),
        revocation: Desk::shipped(&ca, Arc::new(Still), &authority.issuer, "issuing-1", &store, directory),
        ca,
        calls: Default::default(),
        config: crate::current::Current::new(in_force),
        hardening: Vec::new(),
        issuer: crate::current::Current::new(Arc::clone(&authority.issuer)),
        issuer_key: "issuing-1".to_owned(),
        limits: Arc::new(Limits::new(rate_limits, None, store.clone())),
        metrics: Metrics::default(),
        notary: Notary::new(config.notary, &Random::new(Box::new(SystemEntropy))).unwrap(),
        profiles: crate::current::Current::new(BTreeMap::from([("server".to_owned(), Arc::new(profile))])),
        public_url: config.public_url,
        random: Random::new(Box::new(SystemEntropy)),
        retiring: Vec::new(),
        root: authority.issuer.certificate().to_vec(),
        store,
        tls_chain: crate::current::Current::new(Vec::new()),
        certmaker: config.certmaker,
        deposits: Default::default(),
        upki: config.upki,
        validation: config.validation,
        vitals: Vitals::default(),
    })
}
