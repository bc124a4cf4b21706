//! A whole ACME service for tests: a store on disk, a signer on a socket, a resolver and a web
//! server on loopback.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use policy::evidence::Method;
use policy::profile::Profile;
use tempfile::TempDir;

use super::Acme;
use crate::config;
use crate::issuance::ca::Ca;
use crate::issuance::testing::{KEY, TestClock, TestEntropy, TestSigner, p256_spki};
use crate::revocation::Desk;
use crate::service::limits::Limits;
use crate::service::{Random, Services};
use crate::store::{self, EngineKind, Store};

pub(crate) const BASE: &str = "https://ca.test";

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) signer: Arc<TestSigner>,
    pub(crate) store: Store,
    pub(crate) services: Arc<Services>,
    pub(crate) acme: Arc<Acme>,
    pub(crate) web: Web,
    pub(crate) rate_limits: config::RateLimits,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    pub(crate) async fn with(configure: impl FnOnce(&mut config::Acme)) -> Self {
        Self::configured(configure, "").await
    }

    /// With these lines in `[rate_limits]`.
    pub(crate) async fn limited(lines: &str) -> Self {
        Self::configured(|_| {}, lines).await
    }

    async fn configured(configure: impl FnOnce(&mut config::Acme), lines: &str) -> Self {
        let mut acme = offer();
        configure(&mut acme);
        let file = SHIPPED.replace("[rate_limits]\n", &format!("[rate_limits]\n{lines}\n"));
        let rate_limits = config::Config::from_toml("signetd.toml", &file).unwrap().rate_limits;
        let directory = tempfile::tempdir().unwrap();
        let signer = TestSigner::start(directory.path());
        let store = Store::new(store::open(EngineKind::Sqlite, &directory.path().join("store")).unwrap());
        crate::issuance::testing::activate(&store);
        Self::over(directory, TestClock::new(), signer, store, Web::start(), (acme, rate_limits), |_| {}).await
    }

    /// The daemon crashes and starts again over the same store and signer. The old tasks are still
    /// there, but nobody asks them any more.
    pub(crate) async fn restart(self) -> Self {
        self.reconfigure(|_| {}).await
    }

    /// The same, with another configuration afterwards.
    pub(crate) async fn reconfigure(self, configure: impl FnOnce(&mut config::Acme)) -> Self {
        let Self { directory, clock, signer, store, services, acme, web, rate_limits } = self;
        let mut offer = services.acme.clone();
        configure(&mut offer);
        drop((services, acme));
        Self::over(directory, clock, signer, store, web, (offer, rate_limits), |_| {}).await
    }

    /// The same, with other services afterwards.
    pub(crate) async fn reassemble(self, adjust: impl FnOnce(&mut Services)) -> Self {
        let Self { directory, clock, signer, store, services, acme, web, rate_limits } = self;
        let offer = services.acme.clone();
        drop((services, acme));
        Self::over(directory, clock, signer, store, web, (offer, rate_limits), adjust).await
    }

    /// An attempt at this order was given up, and was journalled after that with the certificate
    /// that was signed last.
    pub(crate) fn journal_completes(&self, order: &str) {
        let is_certificate = |line: &&String| line.contains("\"certificate\"");
        let json = self.signer.inner().lines.iter().rfind(is_certificate).unwrap()[65..].to_owned();
        let mut entry: hsm::journal::Entry = serde_json::from_str(&json).unwrap();
        if let hsm::journal::Event::Certificate { record, .. } = &mut entry.event {
            record.order = Some(order.rsplit('/').next().unwrap().to_owned());
        }
        self.signer.restart();
        self.signer.journal("acme", entry.event);
    }

    async fn over(
        directory: TempDir,
        clock: Arc<TestClock>,
        signer: Arc<TestSigner>,
        store: Store,
        web: Web,
        (acme, rate_limits): (config::Acme, config::RateLimits),
        adjust: impl FnOnce(&mut Services),
    ) -> Self {
        let ca = Ca::new(signer.client(), store.clone());
        let _ = ca.catch_up().await;
        let file = |name: &str| format!("{}/../packaging/profiles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = |name: &str| std::fs::read_to_string(file(name)).unwrap();
        let fresh = text("server").replace("max_age = \"30d\"", "max_age = \"1d\"");
        let profiles = [("server", text("server")), ("shortlived", text("shortlived")), ("fresh", fresh)]
            .map(|(name, text)| (name.to_owned(), Arc::new(Profile::from_toml(&file(name), &text).unwrap())));
        let shipped = config::Config::from_toml("signetd.toml", SHIPPED).unwrap();
        let in_force = config::InForce {
            config: shipped.clone(),
            file: "signetd.toml".into(),
            read: policy::effects::Clock::now(&*clock),
        };
        let mut services = Services {
            config: crate::current::Current::new(in_force),
            revocation: Desk::shipped(&ca, clock.clone(), &signer.issuer, KEY, &store, directory.path()),
            acme,
            alternate_chains: crate::current::Current::new(Vec::new()),
            ca,
            calls: Default::default(),
            clock: clock.clone(),
            hardening: Vec::new(),
            issuer: crate::current::Current::new(signer.issuer.clone()),
            issuer_key: KEY.into(),
            limits: Arc::new(Limits::new(rate_limits.clone(), Some("https://example.test".into()), store.clone())),
            metrics: Default::default(),
            profiles: crate::current::Current::new(BTreeMap::from(profiles)),
            public_url: BASE.into(),
            random: Random::new(Box::new(TestEntropy)),
            retiring: Vec::new(),
            root: signer.issuer.certificate().to_vec(),
            store: store.clone(),
            tls_chain: crate::current::Current::new(Vec::new()),
            upki: shipped.upki,
            validation: web.validation(),
            vitals: Default::default(),
        };
        adjust(&mut services);
        let services = Arc::new(services);
        let acme = Acme::start(services.clone()).await.unwrap();
        Self { directory, clock, signer, store, services, acme, web, rate_limits }
    }
}

/// The configuration as it is shipped.
const SHIPPED: &str = include_str!("../../../../packaging/signetd.toml");

/// What the ACME surface offers, unless a test says otherwise.
fn offer() -> config::Acme {
    config::Acme {
        accounts: Default::default(),
        authorization_lifetime: Duration::from_secs(7 * 86_400),
        default_profile: "server".into(),
        order_lifetime: Duration::from_secs(86_400),
        // A machine that is busy must not look like a token that is slow.
        orders: config::Orders { finalize_patience: Duration::from_secs(30), ..config::Orders::default() },
        profiles: vec!["server".into(), "shortlived".into(), "fresh".into()],
        terms_of_service: None,
        website: Some("https://example.test".into()),
    }
}

/// A web server on loopback, and a resolver that knows every name to be there.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) http: SocketAddr,
    pub(crate) dns: SocketAddr,
    /// Data of DNS records beside the addresses, by name and type.
    pub(crate) records: Records,
    /// Whole answers, by path. What is not there is 404.
    pub(crate) answers: Arc<Mutex<HashMap<String, String>>>,
}

impl Web {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let answers: Arc<Mutex<HashMap<String, String>>> = Arc::default();
        let records = Records::default();
        let web = Self {
            http: listener.local_addr().unwrap(),
            dns: resolver_with([(".", vec![Ipv4Addr::LOCALHOST])].into(), records.clone()),
            records,
            answers: answers.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answers) = (stream.unwrap(), answers.clone());
                std::thread::spawn(move || {
                    let mut request = Vec::new();
                    let mut chunk = [0; 1024];
                    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                        match stream.read(&mut chunk) {
                            Ok(length) if length > 0 => request.extend(&chunk[..length]),
                            _ => return,
                        }
                    }
                    let request = String::from_utf8(request).unwrap();
                    let path = request.split(' ').nth(1).unwrap();
                    let answer = answers.lock().unwrap().get(path).cloned();
                    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
                    let _ = stream.write_all(answer.unwrap_or(missing).as_bytes());
                });
            }
        });
        web
    }

    pub(crate) fn put(&self, path: &str, body: &str) {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Adds a TXT record.
    pub(crate) fn put_txt(&self, name: &str, text: &str) {
        let data = [&[text.len() as u8], text.as_bytes()].concat();
        self.records.lock().unwrap().entry((name.to_owned(), 16)).or_default().push(data);
    }

    /// Adds a CAA record.
    pub(crate) fn put_caa(&self, name: &str, tag: &str, value: &str) {
        let data = [&[0, tag.len() as u8], tag.as_bytes(), value.as_bytes()].concat();
        self.records.lock().unwrap().entry((name.to_owned(), 257)).or_default().push(data);
    }

    pub(crate) fn validation(&self) -> config::Validation {
        config::Validation {
            allowed_networks: config::AllowedNetworks::Only(vec!["127.0.0.0/8".parse().unwrap()]),
            attempts: 3,
            caa_identities: vec!["ca.example.test".into()],
            dnssec: config::Dnssec::Off,
            http01_port: self.http.port(),
            max_body: 4096,
            max_redirects: 10,
            resolvers: vec![self.dns],
            retry_after: Duration::from_millis(20),
            timeout: Duration::from_secs(3),
            tls_alpn01_port: self.http.port(),
        }
    }
}

/// Data of DNS records, by name and type.
pub(crate) type Records = Arc<Mutex<HashMap<(String, u16), Vec<Vec<u8>>>>>;

/// A DNS server with A records: the name's own, or those of `.`; a name with none does not exist.
pub(crate) fn resolver(records: HashMap<&'static str, Vec<Ipv4Addr>>) -> SocketAddr {
    resolver_with(records, Records::default())
}

/// The same, with records of other types.
pub(crate) fn resolver_with(records: HashMap<&'static str, Vec<Ipv4Addr>>, others: Records) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            let query = &query[..length];
            let mut labels = Vec::new();
            let mut at = 12;
            while query[at] != 0 {
                let end = at + 1 + usize::from(query[at]);
                labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
                at = end;
            }
            let question = &query[12..at + 5];
            let name = labels.join(".");
            let known = records.get(name.as_str()).or(records.get(".")).cloned().unwrap_or_default();
            let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
            let found = match kind {
                1 => known.iter().map(|address| address.octets().to_vec()).collect(),
                kind => others.lock().unwrap().get(&(name, kind)).cloned().unwrap_or_default(),
            };
            let code = if known.is_empty() { 3 } else { 0 };
            let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0];
            reply.extend(question);
            for data in found {
                reply.extend([0xc0, 12, query[at + 1], query[at + 2], 0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
                reply.extend(data);
            }
            let _ = socket.send_to(&reply, peer);
        }
    });
    address
}

/// A certification request for these names, with a fresh P-256 key.
pub(crate) fn csr(names: &[&str]) -> Vec<u8> {
    csr_with(&fresh_key(), names)
}

pub(crate) fn fresh_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

pub(crate) fn csr_with(key: &EcdsaKeyPair, names: &[&str]) -> Vec<u8> {
    csr_for(key, "", names)
}

/// The same with a common name, unless it is empty.
pub(crate) fn csr_for(key: &EcdsaKeyPair, common_name: &str, names: &[&str]) -> Vec<u8> {
    const COMMON_NAME: [u8; 5] = [6, 3, 0x55, 4, 3];
    const EXTENSION_REQUEST: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
    const SUBJECT_ALT_NAME: [u8; 5] = [6, 3, 0x55, 0x1d, 0x11];
    const ECDSA_SHA256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let general_name = |name: &&str| match name.parse() {
        Ok(IpAddr::V4(address)) => tlv(0x87, &[&address.octets()]),
        Ok(IpAddr::V6(address)) => tlv(0x87, &[&address.octets()]),
        Err(_) => tlv(0x82, &[name.as_bytes()]),
    };
    let names: Vec<u8> = names.iter().flat_map(general_name).collect();
    let san = tlv(0x30, &[&SUBJECT_ALT_NAME, &tlv(4, &[&tlv(0x30, &[&names])])]);
    let attribute = tlv(0x30, &[&EXTENSION_REQUEST, &tlv(0x31, &[&tlv(0x30, &[&san])])]);
    let attributes = if names.is_empty() { Vec::new() } else { attribute };
    let subject = tlv(0x31, &[&tlv(0x30, &[&COMMON_NAME, &tlv(0x0c, &[common_name.as_bytes()])])]);
    let subject = tlv(0x30, &[if common_name.is_empty() { &[] } else { &subject }]);
    let spki = p256_spki(key.public_key().as_ref());
    let info = tlv(0x30, &[&[2, 1, 0], &subject, &spki, &tlv(0xa0, &[&attributes])]);
    let signature = key.sign(&SystemRandom::new(), &info).unwrap();
    tlv(0x30, &[&info, &tlv(0x30, &[&ECDSA_SHA256]), &tlv(3, &[&[0], signature.as_ref()])])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => out.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    if out[1] == 0x82 && content.len() < 0x100 {
        out.truncate(1);
        out.extend([0x81, content.len() as u8]);
    }
    out.extend(content);
    out
}

/// Leaves an authorization as a crash in the middle of its validation does.
pub(crate) async fn interrupt(store: &Store, id: &str) {
    use super::tables::{AUTHORIZATIONS, VALIDATING};
    let mut row = store.get(&AUTHORIZATIONS, id).unwrap().unwrap();
    row.value.begin(Method::Http01);
    let mut change = store::Change::new();
    change.update(&AUTHORIZATIONS, id, row.version, &row.value);
    change.put(&VALIDATING, super::authorizations::validation_key(id, Method::Http01), &());
    store.commit(change).await.unwrap();
}

/// Whether the validation of an authorization is under way, or to be taken up again.
pub(crate) fn is_validating(store: &Store, id: &str) -> bool {
    store.get(&super::tables::VALIDATING, super::authorizations::validation_key(id, Method::Http01)).unwrap().is_some()
}

/// How many rows there are: orders, orders under way, orders of accounts, authorizations, authorized
/// names, tokens.
pub(crate) fn rows(store: &Store) -> [usize; 6] {
    use super::tables::{ACCOUNT_ORDERS, AUTHORIZATIONS, AUTHORIZED_NAMES, CHALLENGE_TOKENS};
    use crate::issuance::orders::{ORDERS, UNDERWAY};
    fn count<T: serde::de::DeserializeOwned>(store: &Store, table: &store::Table<T>) -> usize {
        store.scan(table, (Bound::Unbounded, Bound::Unbounded), 100_000, false).unwrap().len()
    }
    [
        count(store, &ORDERS),
        count(store, &UNDERWAY),
        count(store, &ACCOUNT_ORDERS),
        count(store, &AUTHORIZATIONS),
        count(store, &AUTHORIZED_NAMES),
        count(store, &CHALLENGE_TOKENS),
    ]
}
