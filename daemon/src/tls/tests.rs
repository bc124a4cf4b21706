use std::net::SocketAddr;

use axum::routing::get;
use policy::effects::UnixTime as Seconds;
use policy::tbs::Role;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::{Address, Limits};
use crate::http::{Endpoint, Socket, bind, serve};
use crate::testing::{Authority, DAY, KeyPair, NOW, Signer, Still, services};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    authority: Authority,
    address: SocketAddr,
    plain: SocketAddr,
    signer: Arc<crate::testing::Signer>,
    ours: TlsSigner,
    directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

/// A TLS listener whose key is behind a signer, and a plain one beside it.
fn server(algorithm: KeyAlgorithm, client_certificates: ClientCertificates, oldest: TlsVersion) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let signer = Signer::start(directory.path(), KeyPair::generate(algorithm));
    let public = policy::key::PublicKey::from_spki(&status(&signer).keys[0].spki).unwrap();
    let leaf = authority.certificate(Role::TlsServer, &public, NOW.minus(DAY));
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let ours = TlsSigner::new(signer.client(), "tls-1".to_owned(), &chain[0]).unwrap();
    let trusted = [authority.issuer.certificate().to_vec()];
    let terms = Terms { client_certificates, oldest, trusted: &trusted };
    let config = server_config(crate::current::Current::new(ours.key(chain)), Arc::new(Still), &terms).unwrap();
    let services = services(directory.path(), &authority, signer.path.clone());
    let listen = || {
        let socket = bind(&Address::Ip("127.0.0.1:0".parse().unwrap())).unwrap();
        let Socket::Tcp(listener) = &socket else { panic!("a TCP socket was bound") };
        (listener.local_addr().unwrap(), socket)
    };
    let router = axum::Router::new().route("/", get(|| async { "here" }));
    let (address, socket) = listen();
    let secure = Endpoint { socket, tls: Some(Arc::new(config)), router: router.clone() };
    let (plain, socket) = listen();
    let endpoints = vec![secure, Endpoint { socket, tls: None, router }];
    let limits = Limits {
        body: 1024,
        connections: 600,
        header: 8192,
        header_timeout: PATIENCE,
        request_timeout: PATIENCE,
        write_timeout: PATIENCE,
    };
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(endpoints, services, limits, stopped));
    Server { authority, address, plain, signer, ours, directory, _stop: stop }
}

fn status(signer: &Signer) -> Status {
    let Response::Status(status) = signer.client().call(None, Request::Status).unwrap() else { panic!("a status") };
    status
}

/// Who knocks, and with which version.
struct Caller {
    certificate: Option<(Vec<u8>, KeyPair)>,
    version: &'static rustls::SupportedProtocolVersion,
}

const NOBODY: Caller = Caller { certificate: None, version: &version::TLS13 };

impl Server {
    /// A caller whose certificate lasts 30 days from `from`.
    fn somebody(&self, from: Seconds) -> Caller {
        let key = KeyPair::generate(KeyAlgorithm::P256);
        let certificate = self.authority.certificate(Role::Administrator, &key.public(), from);
        Caller { certificate: Some((certificate.der().to_vec(), key)), version: &version::TLS13 }
    }

    fn client(&self, caller: &Caller) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(Arc::new(Still))))
            .with_protocol_versions(&[caller.version])
            .unwrap()
            .with_root_certificates(roots);
        match &caller.certificate {
            None => builder.with_no_client_auth(),
            Some((der, key)) => {
                builder.with_client_auth_cert(vec![CertificateDer::from(der.clone())], key.private()).unwrap()
            }
        }
    }

    /// Shakes hands and asks once; TLS 1.3 servers refuse a client's certificate only then.
    async fn knock(&self, config: Arc<ClientConfig>) -> std::io::Result<(TlsStream<TcpStream>, String)> {
        let name = ServerName::try_from("localhost.example.test").unwrap();
        let mut stream = TlsConnector::from(config).connect(name, TcpStream::connect(self.address).await?).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        Ok((stream, answer))
    }

    async fn ask(&self, caller: &Caller) -> std::io::Result<String> {
        self.knock(Arc::new(self.client(caller))).await.map(|(_, answer)| answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_works_with_every_kind_of_key_in_the_token() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa] {
        let server = server(algorithm, ClientCertificates::None, TlsVersion::Tls12);
        for version in [&version::TLS13, &version::TLS12] {
            let answer = server.ask(&Caller { certificate: None, version }).await;
            assert!(answer.unwrap().starts_with("HTTP/1.1 200 "), "{algorithm:?} {version:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_spoken_only_when_it_is_configured() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::None, TlsVersion::Tls13);
    let error = server.ask(&Caller { certificate: None, version: &version::TLS12 }).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    assert!(server.ask(&NOBODY).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_token_stalls_no_other_connection() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::None, TlsVersion::Tls13);
    server.signer.state.lock().unwrap().stalled = true;
    let server = Arc::new(server);
    // Far more handshakes than the runtime has threads.
    let slow: Vec<_> = (0..32)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.ask(&NOBODY).await })
        })
        .collect();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(server.plain).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "));
    }
    server.signer.state.lock().unwrap().stalled = false;
    for answer in slow {
        assert!(answer.await.unwrap().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_waits_for_a_signer_that_restarts() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::None, TlsVersion::Tls13);
    server.signer.state.lock().unwrap().cut = 3;
    assert!(server.ask(&NOBODY).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(server.signer.state.lock().unwrap().cut, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_is_refused_while_too_many_wait_for_the_token() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::None, TlsVersion::Tls13);
    let others = server.ours.turns.try_acquire_many(MOST_WAITING as u32).unwrap();
    assert!(server.ask(&NOBODY).await.is_err());
    drop(others);
    for _ in 0..2 {
        assert!(server.ask(&NOBODY).await.is_ok());
    }
    assert_eq!(server.ours.turns.available_permits(), MOST_WAITING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_required_must_be_shown_and_be_ours() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::Required, TlsVersion::Tls13);
    assert!(server.ask(&server.somebody(NOW.minus(DAY))).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&NOBODY).await.is_err());
    let stranger = KeyPair::generate(KeyAlgorithm::P256);
    let certificate = Authority::new().certificate(Role::Administrator, &stranger.public(), NOW.minus(DAY));
    let stranger = Caller { certificate: Some((certificate.der().to_vec(), stranger)), version: &version::TLS13 };
    assert!(server.ask(&stranger).await.is_err());
    let wrong_use = KeyPair::generate(KeyAlgorithm::P256);
    let certificate = server.authority.certificate(Role::TlsServer, &wrong_use.public(), NOW.minus(DAY));
    let wrong_use = Caller { certificate: Some((certificate.der().to_vec(), wrong_use)), version: &version::TLS13 };
    assert!(server.ask(&wrong_use).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_shakes_hands_and_one_from_the_future_does_not() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::Required, TlsVersion::Tls13);
    assert!(server.ask(&server.somebody(NOW.minus(60 * DAY))).await.is_ok());
    assert!(server.ask(&server.somebody(NOW.plus(DAY))).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_resumed_only_where_no_certificates_are_asked_for() {
    for (asked, resumed) in [
        (ClientCertificates::None, rustls::HandshakeKind::Resumed),
        (ClientCertificates::Optional, rustls::HandshakeKind::Full),
        (ClientCertificates::Required, rustls::HandshakeKind::Full),
    ] {
        let server = server(KeyAlgorithm::P256, asked, TlsVersion::Tls13);
        let config = Arc::new(server.client(&server.somebody(NOW.minus(DAY))));
        server.knock(Arc::clone(&config)).await.unwrap();
        let (stream, _) = server.knock(config).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(resumed), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_stop_in_the_middle_of_the_handshake_hold_up_nobody() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::Optional, TlsVersion::Tls13);
    let config = Arc::new(server.client(&NOBODY));
    let mut silent = Vec::new();
    for _ in 0..300 {
        let name = ServerName::try_from("localhost.example.test").unwrap();
        let mut hello = Vec::new();
        rustls::ClientConnection::new(Arc::clone(&config), name).unwrap().write_tls(&mut hello).unwrap();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        silent.push(stream);
    }
    timeout(PATIENCE / 2, server.ask(&NOBODY)).await.expect("its turn comes").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_the_certificates_is_found_out() {
    let server = server(KeyAlgorithm::P256, ClientCertificates::None, TlsVersion::Tls13);
    let other = KeyPair::generate(KeyAlgorithm::P256);
    let certificate = server.authority.certificate(Role::TlsServer, &other.public(), NOW.minus(DAY));
    let certificate = CertificateDer::from(certificate.der().to_vec());
    let client = || Client::new(server.directory.path().join("signer.sock"), PATIENCE);
    let wrong = TlsSigner::new(client(), "tls-1".to_owned(), &certificate).unwrap();
    assert!(matches!(wrong.status(), Err(TlsError::Key(why)) if why.contains("is not for the key")));
    let missing = TlsSigner::new(client(), "tls-2".to_owned(), &certificate).unwrap();
    assert!(matches!(missing.status(), Err(TlsError::Key(why)) if why.contains("has no key `tls-2`")));
}

#[test]
fn a_chain_is_verified_as_of_its_last_second_and_only_its_age_is_forgiven() {
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let expired_at = |end: u64| {
        move |time: UnixTime| match time.as_secs() {
            now if now > end => {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after: at(end) }))
            }
            now => Ok(now),
        }
    };
    assert_eq!(verify_or_expired(at(100), expired_at(200)), Ok(100));
    assert_eq!(verify_or_expired(at(300), expired_at(200)), Ok(200));
    let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(verify_or_expired(at(1), |_| Err::<(), _>(unknown())), Err(unknown()));
    // An end that moves for ever does not turn for ever.
    let restless = |time: UnixTime| {
        let not_after = at(time.as_secs() - 1);
        Err::<(), _>(Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }))
    };
    assert!(verify_or_expired(at(1000), restless).is_err());
}
