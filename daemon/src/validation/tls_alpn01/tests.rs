use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use policy::effects::UnixTime;
use policy::evidence::Method;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::testing::{ACME_IDENTIFIER, Recipe, address, identifier, names, octets};
use super::*;
use crate::config::{self, AllowedNetworks};
use crate::service::acme::testing::{Web, fresh_key, resolver};
use crate::validation::{Attempt, Wildcard};

const AUTHORIZATION: &str = "token.thumbprint";

fn expected() -> Vec<u8> {
    digest(&SHA256, AUTHORIZATION.as_bytes()).as_ref().to_vec()
}

/// Shows the certificate of a recipe, with another key if one is given, and remembers what it was
/// asked for.
#[derive(Debug)]
struct Show {
    key: Arc<CertifiedKey>,
    asked: std::sync::Mutex<Option<Asked>>,
}

impl ResolvesServerCert for Show {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        *self.asked.lock().unwrap() = Some((hello.server_name().map(str::to_owned), protocols));
        Some(self.key.clone())
    }
}

/// The server name and the protocols of a ClientHello.
type Asked = (Option<String>, Vec<Vec<u8>>);

struct Server {
    address: SocketAddr,
    show: Arc<Show>,
    /// What came over the connection after the handshake.
    sent: oneshot::Receiver<Vec<u8>>,
}

/// A server for one connection.
async fn serve(
    recipe: &Recipe,
    key: &aws_lc_rs::signature::EcdsaKeyPair,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Server {
    let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from(key.to_pkcs8v1().unwrap().as_ref().to_vec());
    let key = default_provider().key_provider.load_private_key(pkcs8.into()).unwrap();
    let show = Arc::new(Show {
        key: Arc::new(CertifiedKey::new(vec![recipe.build().into()], key)),
        asked: Default::default(),
    });
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(show.clone());
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, sent) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let _ = stream.read_to_end(&mut received).await;
        }
        let _ = tell.send(received);
    });
    Server { address, show, sent }
}

async fn good() -> (Recipe, Server) {
    let recipe = Recipe::good("a.example.test", &expected());
    let server = serve(&recipe, &recipe.key, &[b"acme-tls/1"], &[&TLS12, &TLS13]).await;
    (recipe, server)
}

async fn validate(server: &Server, name: &str) -> Result<Shown, Failure> {
    validate_with(config::Validation { tls_alpn01_port: server.address.port(), ..Web::start().validation() }, name)
        .await
}

async fn validate_with(config: config::Validation, name: &str) -> Result<Shown, Failure> {
    let name = Name::parse(name).unwrap();
    let attempt = Attempt {
        name: &name,
        wildcard: Wildcard::No,
        method: Method::TlsAlpn01,
        token: "token",
        key_authorization: AUTHORIZATION,
        account: "https://ca.example.test/acme/account/1",
        now: UnixTime(1),
    };
    Validator::new(&config).validate(&attempt).await
}

#[tokio::test]
async fn the_right_certificate_shows_control_and_nothing_is_sent_after_the_handshake() {
    for version in [&TLS12, &TLS13] {
        let recipe = Recipe::good("a.example.test", &expected());
        let server = serve(&recipe, &recipe.key, &[b"h2", b"acme-tls/1"], &[version]).await;
        let shown = validate(&server, "a.example.test").await.unwrap();
        assert_eq!(shown.validator, "tls-alpn-01/1");
        assert_eq!(shown.seen.address, Some(server.address.to_string()));
        assert_eq!(shown.seen.dns.as_deref(), Some("127.0.0.1: a.example.test"));
        // T-01: the list is exactly this protocol, and the name is indicated.
        let asked = server.show.asked.lock().unwrap().take();
        assert_eq!(asked, Some((Some("a.example.test".into()), vec![b"acme-tls/1".to_vec()])));
        assert_eq!(server.sent.await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn an_address_is_asked_for_by_its_reverse_name() {
    let mut recipe = Recipe::good("unused.test", &expected());
    recipe.extensions[0] = names(&[address(&[127, 0, 0, 1])]);
    let server = serve(&recipe, &recipe.key, &[b"acme-tls/1"], &[&TLS13]).await;
    let shown = validate(&server, "127.0.0.1").await.unwrap();
    assert_eq!(shown.seen.dns, None);
    let asked = server.show.asked.lock().unwrap().take();
    assert_eq!(asked.unwrap().0.as_deref(), Some("1.0.0.127.in-addr.arpa"));
    let six = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
    assert_eq!(server_name_indication(&Name::parse("4321:0:1:2:3:4:567:89ab").unwrap()), six);
}

#[tokio::test]
async fn another_protocol_or_none_is_refused() {
    for protocols in [&[][..], &[&b"h2"[..]], &[b"acme-tls/2", b"http/1.1"]] {
        let recipe = Recipe::good("a.example.test", &expected());
        let server = serve(&recipe, &recipe.key, protocols, &[&TLS13]).await;
        let failure = validate(&server, "a.example.test").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.detail.contains("acme-tls/1"), "{failure:?}");
    }
}

#[tokio::test]
async fn the_server_must_hold_the_key_of_its_certificate() {
    for version in [&TLS12, &TLS13] {
        let recipe = Recipe::good("a.example.test", &expected());
        let server = serve(&recipe, &fresh_key(), &[b"acme-tls/1"], &[version]).await;
        let failure = validate(&server, "a.example.test").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.detail.contains("BadSignature"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_with_what_was_found() {
    let mut recipe = Recipe::good("a.example.test", &expected());
    recipe.extensions[1] = identifier(ACME_IDENTIFIER, false, &octets(&expected()));
    let server = serve(&recipe, &recipe.key, &[b"acme-tls/1"], &[&TLS13]).await;
    let failure = validate(&server, "a.example.test").await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::IncorrectResponse, Retry::No));
    for said in ["a.example.test", "127.0.0.1", "not critical"] {
        assert!(failure.detail.contains(said), "{failure:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_or_with_an_old_version_only_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        // Not TLS; then a ServerHello of TLS 1.1, which no client may accept (T-03).
        for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &old_hello()] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    for _ in 0..2 {
        let config = config::Validation { tls_alpn01_port: port, ..Web::start().validation() };
        let failure = validate_with(config, "a.example.test").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.detail.contains("handshake"), "{failure:?}");
    }
}

/// A ServerHello that chooses TLS 1.1 (RFC 4346 section 7.4.1.3).
fn old_hello() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x09, 0]);
    let mut message = vec![2, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![22, 3, 2, 0, message.len() as u8];
    record.extend(message);
    record
}

#[tokio::test]
async fn addresses_outside_the_allowed_networks_are_never_connected_to() {
    let (_, server) = good().await;
    let web = Web::start();
    let config = config::Validation {
        allowed_networks: AllowedNetworks::Default,
        tls_alpn01_port: server.address.port(),
        ..web.validation()
    };
    for name in ["a.example.test", "127.0.0.1", "169.254.169.254", "::1"] {
        let failure = validate_with(config.clone(), name).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry), (FailureKind::Unauthorized, Retry::No), "{failure:?}");
    }
    let nobody = config::Validation { resolvers: vec![resolver(HashMap::new())], ..config };
    assert_eq!(validate_with(nobody, "a.example.test").await.unwrap_err().kind, FailureKind::Dns);
}

#[tokio::test]
async fn a_silent_server_ends_in_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let config = config::Validation {
        tls_alpn01_port: listener.local_addr().unwrap().port(),
        timeout: Duration::from_millis(500),
        ..Web::start().validation()
    };
    let failure = validate_with(config, "a.example.test").await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Connection, Retry::Yes));
    assert!(failure.detail.contains("tls-alpn-01 of a.example.test"), "{failure:?}");
}
