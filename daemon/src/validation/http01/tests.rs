use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::config::{self, AllowedNetworks};
use crate::service::acme::testing::{Web, resolver};
use crate::validation::{Attempt, Wildcard};
use policy::effects::UnixTime;

const EXPECTED: &str = "token.thumbprint";
const PATH: &str = "/.well-known/acme-challenge/token";

async fn ask(config: config::Validation) -> Result<(), Failure> {
    ask_name(config, "a.example.test").await
}

async fn ask_name(config: config::Validation, name: &str) -> Result<(), Failure> {
    show(config, name).await.map(|_| ())
}

async fn show(config: config::Validation, name: &str) -> Result<Shown, Failure> {
    let name = Name::parse(name).unwrap();
    let attempt = Attempt {
        name: &name,
        wildcard: Wildcard::No,
        method: policy::evidence::Method::Http01,
        token: "token",
        key_authorization: EXPECTED,
        account: "https://ca.example.test/acme/account/1",
        now: UnixTime(1),
    };
    Validator::new(&config).validate(&attempt).await
}

fn redirect(web: &Web, from: &str, to: &str) {
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    web.answers.lock().unwrap().insert(from.to_owned(), answer);
}

/// A server that sends `start`, and then octets one by one for ever, or nothing.
fn trickle(start: &'static [u8], octet: Option<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.write_all(start);
                while octet.is_none_or(|octet| stream.write_all(&[octet]).is_ok()) {
                    std::thread::sleep(Duration::from_millis(20));
                    // A peer that hangs up ends the silent one, too.
                    if octet.is_none() && stream.write_all(&[]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn the_key_authorization_is_found_and_white_space_after_it_ignored() {
    let web = Web::start();
    for body in [EXPECTED.to_owned(), format!("{EXPECTED}\n"), format!("{EXPECTED} \r\n\t")] {
        web.put(PATH, &body);
        assert_eq!(ask(web.validation()).await, Ok(()), "{body:?}");
    }
}

#[tokio::test]
async fn anything_else_is_refused_with_what_was_found() {
    let web = Web::start();
    for body in ["", "token", " token.thumbprint", "token.thumbprint token.thumbprint", "<html>"] {
        web.put(PATH, body);
        let failure = ask(web.validation()).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry), (FailureKind::IncorrectResponse, Retry::No), "{failure:?}");
        assert!(failure.detail.contains("a.example.test") && failure.detail.contains(EXPECTED), "{failure:?}");
    }
    web.answers.lock().unwrap().clear();
    let failure = ask(web.validation()).await.unwrap_err();
    assert!(failure.kind == FailureKind::Unauthorized && failure.detail.contains("404"), "{failure:?}");
}

#[tokio::test]
async fn the_request_names_the_host_and_the_validator() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let web = Web { http: listener.local_addr().unwrap(), ..Web::start() };
    let server = std::thread::spawn(move || {
        use std::io::Read as _;
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\ntoken.thumbprint");
        String::from_utf8(request[..length].to_vec()).unwrap().to_lowercase()
    });
    assert_eq!(ask(web.validation()).await, Ok(()));
    let request = server.join().unwrap();
    assert!(request.starts_with("get /.well-known/acme-challenge/token http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: a.example.test\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: signetd/"), "{request}");
}

#[tokio::test]
async fn what_was_seen_is_recorded() {
    let web = Web::start();
    web.put(PATH, EXPECTED);
    let shown = show(web.validation(), "a.example.test").await.unwrap();
    assert_eq!(shown.validator, VERSION);
    assert_eq!(shown.seen.address, Some(web.http.to_string()));
    assert_eq!(shown.seen.dns.as_deref(), Some("127.0.0.1: a.example.test"));
    assert_eq!(shown.until, None);
}

#[tokio::test]
async fn an_address_is_asked_under_its_own_name() {
    let web = Web::start();
    web.put(PATH, EXPECTED);
    let shown = show(web.validation(), "127.0.0.1").await.unwrap();
    assert_eq!((shown.seen.address, shown.seen.dns), (Some(web.http.to_string()), None));
    let six = Target { host: Name::parse("2001:db8::1").unwrap(), ..target(80) };
    assert_eq!(six.authority(), "[2001:db8::1]");
    assert_eq!(six.to_string(), format!("http://[2001:db8::1]{PATH}"));
    let failure = show(web.validation(), "10.1.2.3").await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Unauthorized, Retry::No), "{failure:?}");
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again() {
    let web = Web::start();
    for (status, retry) in [("503 Wait", Retry::Yes), ("429 Wait", Retry::Yes), ("403 No", Retry::No)] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        web.answers.lock().unwrap().insert(PATH.to_owned(), answer);
        assert_eq!(ask(web.validation()).await.unwrap_err().retry, retry, "{status}");
    }
}

fn target(port: u16) -> Target {
    Target {
        scheme: Scheme::Http,
        host: Name::parse("a.example.test").unwrap(),
        port,
        explicit_port: false,
        path: PATH.into(),
    }
}

#[tokio::test]
async fn redirects_are_followed_and_looked_at() {
    let web = Web::start();
    redirect(&web, PATH, "/elsewhere?x=y#fragment");
    redirect(&web, "/elsewhere?x=y", &format!("http://b.example.test:{}/there", web.http.port()));
    redirect(&web, "/there", &format!("//c.example.test:{}/end", web.http.port()));
    web.put("/end", EXPECTED);
    assert_eq!(ask(web.validation()).await, Ok(()));
    for (location, why) in [
        ("ftp://a.example.test/", "only http and https"),
        ("http://a.example.test:8081/", "only ports"),
        ("http://127.1/", "canonical form"),
        ("http://0x7f.0.0.1/", "canonical form"),
        ("http://2130706433/", "canonical form"),
        ("http://0177.0.0.1/", "canonical form"),
        ("http://[::ffff:7f00:1]/", "canonical form"),
        ("http://[127.0.0.1]/", "canonical form"),
        ("http://[a.example.test]/", "canonical form"),
        ("http://*.example.test/", "canonical form"),
        ("http://[::1]/", "may connect to"),
        ("http://10.0.0.1/", "may connect to"),
        ("http://user@a.example.test/", "user name"),
        ("http://user:pw@127.0.0.1/", "user name"),
        ("elsewhere", "http"),
        ("http://", "URL"),
        ("http:///", "URL"),
    ] {
        redirect(&web, PATH, location);
        let failure = ask(web.validation()).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry), (FailureKind::Unauthorized, Retry::No), "{location}: {failure:?}");
        assert!(failure.detail.contains(why), "{location}: {failure:?}");
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let web = Web::start();
    redirect(&web, PATH, PATH);
    let failure = ask(web.validation()).await.unwrap_err();
    assert!(failure.kind == FailureKind::Unauthorized && failure.detail.contains("10 redirects"), "{failure:?}");
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_without_looking_at_the_certificate() {
    let web = Web::start();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let secure = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(self_signed()));
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\ntoken.thumbprint").await;
        let _ = stream.flush().await;
        let _ = stream.read(&mut request).await;
    });
    // The port that the configuration gives to http-01 is one that redirects may name.
    let plain = web.http.port();
    redirect(&web, PATH, &format!("https://a.example.test:{}/x", secure.port()));
    let first = target(plain);
    let config = config::Validation { http01_port: secure.port(), ..web.validation() };
    let expected = Expected { what: "key authorization", text: EXPECTED, end: End::Blank };
    let seen = follow(&Validator::new(&config), first, &expected).await.unwrap();
    assert_eq!(seen.address, Some(secure.to_string()));
}

/// A server with a certificate that nobody trusts.
fn self_signed() -> rustls::ServerConfig {
    use crate::issuance::testing::{NOW, TestEntropy, p256_spki};
    use aws_lc_rs::signature::KeyPair as _;
    use policy::key::{PublicKey, SignatureScheme};
    let key = crate::service::acme::testing::fresh_key();
    let public = PublicKey::from_spki(&p256_spki(key.public_key().as_ref())).unwrap();
    let validity = policy::validity::Validity::new(NOW, NOW.plus(86_400 * 400)).unwrap();
    let serial = policy::serial::Serial::generate(&mut TestEntropy).unwrap();
    let tbs = policy::tbs::root("x", "x", &public, serial, validity).unwrap().lint(None).unwrap();
    let signature = key.sign(&aws_lc_rs::rand::SystemRandom::new(), tbs.tbs().as_bytes()).unwrap();
    let certificate = tbs.assemble(&public, SignatureScheme::EcdsaP256Sha256, signature.as_ref()).unwrap();
    let pkcs8 = key.to_pkcs8v1().unwrap().as_ref().to_vec();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().to_vec().into()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(pkcs8).into(),
        )
        .unwrap()
}

#[tokio::test]
async fn addresses_outside_the_allowed_networks_are_never_connected_to() {
    let web = Web::start();
    web.put(PATH, EXPECTED);
    let config = config::Validation { allowed_networks: AllowedNetworks::Default, ..web.validation() };
    let failure = ask(config.clone()).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Unauthorized, Retry::No));
    assert!(failure.detail.contains("127.0.0.1"), "{failure:?}");
    // A redirect to a name there is no better.
    let only = AllowedNetworks::Only(vec!["127.0.0.1/32".parse().unwrap()]);
    let dns = resolver(HashMap::from([
        ("a.example.test", vec![Ipv4Addr::LOCALHOST]),
        ("metadata.example.test", vec![Ipv4Addr::new(169, 254, 169, 254)]),
        ("mixed.example.test", vec![Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::LOCALHOST]),
    ]));
    let config = config::Validation { allowed_networks: only, resolvers: vec![dns], ..config };
    redirect(&web, PATH, &format!("http://metadata.example.test:{}/", web.http.port()));
    let failure = ask(config.clone()).await.unwrap_err();
    assert!(failure.detail.contains("169.254.169.254"), "{failure:?}");
    // Of several addresses only those that are allowed are used.
    web.put(PATH, EXPECTED);
    assert_eq!(ask_name(config, "mixed.example.test").await, Ok(()));
}

#[tokio::test]
async fn a_name_that_does_not_exist_and_a_resolver_that_is_silent_are_dns_failures() {
    let web = Web::start();
    let dns = resolver(HashMap::new());
    let failure = ask(config::Validation { resolvers: vec![dns], ..web.validation() }).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Dns, Retry::Yes), "{failure:?}");
    assert!(failure.detail.contains("NXDOMAIN"), "{failure:?}");
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let config = config::Validation {
        resolvers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_secs(2),
        ..web.validation()
    };
    let failure = ask(config).await.unwrap_err();
    assert_eq!(failure.retry, Retry::Yes, "{failure:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_failure_worth_another_attempt() {
    let web = Web::start();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let failure = ask(config::Validation { http01_port: closed.port(), ..web.validation() }).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Connection, Retry::Yes), "{failure:?}");
}

#[tokio::test]
async fn slow_endless_and_huge_answers_are_cut_off() {
    let web = Web::start();
    for (start, octet) in [
        (&b""[..], None),
        (b"HTTP/1.1 200 OK\r\n", Some(b'a')),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\ntoken", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n", Some(b' ')),
    ] {
        let address = trickle(start, octet);
        let config =
            config::Validation { http01_port: address.port(), timeout: Duration::from_millis(600), ..web.validation() };
        let begun = Instant::now();
        let failure = ask(config).await.unwrap_err();
        assert_eq!((failure.kind, failure.retry), (FailureKind::Connection, Retry::Yes), "{failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
    web.put(PATH, &format!("{EXPECTED}{}", " ".repeat(1 << 20)));
    let failure = ask(web.validation()).await.unwrap_err();
    assert!(failure.kind == FailureKind::IncorrectResponse && failure.detail.contains("4096"), "{failure:?}");
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    web.answers.lock().unwrap().insert(PATH.into(), head);
    assert_eq!(ask(web.validation()).await.unwrap_err().kind, FailureKind::Connection);
}

proptest! {
    #[test]
    fn no_location_makes_it_panic_or_leave_the_allowed_ports(location in "[ -~]{0,80}|https?://[a-z0-9.:@/\\[\\]%#?-]{0,60}") {
        let target = target(5002);
        if let Ok(value) = HeaderValue::from_str(&location)
            && let Ok(next) = target.redirect(&value, 5002)
        {
            prop_assert!([80, 443, 5002].contains(&next.port));
            prop_assert!(!next.host.is_wildcard());
            prop_assert_eq!(Name::parse(&next.host.to_string()), Ok(next.host));
        }
    }
}
