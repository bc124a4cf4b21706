//! What stands at a name under test: an HTTP server and a TLS server that answer as they are told,
//! and remember what they were asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// Longest wait for a validator to speak.
const SILENCE: Duration = Duration::from_secs(10);

/// An HTTP request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /path HTTP/1.1`
    pub(crate) line: String,
    /// `host` and others, in lower case, with their values.
    pub(crate) headers: HashMap<String, String>,
}

/// An HTTP answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn body(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self { status: 302, location: Some(to.into()), ..Self::default() }
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Decides the answer to the request with that number, beginning with 0.
type Behaviour = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

#[derive(Default)]
struct Page {
    behaviour: Option<Behaviour>,
    asked: Vec<Asked>,
}

/// Serves `/.well-known/acme-challenge/TOKEN`, and what redirects lead to, for every name.
#[derive(Clone)]
pub(crate) struct Http(Arc<Mutex<HashMap<String, Page>>>);

impl Http {
    pub(crate) fn start(addresses: &[SocketAddr]) -> Self {
        let http = Self(Arc::default());
        for address in addresses {
            let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            let http = http.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let http = http.clone();
                    // A validator that hangs up asks again.
                    std::thread::spawn(move || http.serve(stream));
                }
            });
        }
        http
    }

    /// The right answer to a challenge.
    pub(crate) fn offer(&self, token: &str, authorization: String) {
        self.behave(token, move |_| Reply::body(authorization.clone()));
    }

    /// Any answer at the last part of a path.
    pub(crate) fn behave(&self, last: &str, behaviour: impl Fn(usize) -> Reply + Send + Sync + 'static) {
        lock(&self.0).entry(last.to_owned()).or_default().behaviour = Some(Arc::new(behaviour));
    }

    /// What was asked there.
    pub(crate) fn asked(&self, last: &str) -> Vec<Asked> {
        lock(&self.0).get(last).map(|page| page.asked.clone()).unwrap_or_default()
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(SILENCE))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let line = lines.next().transpose()?.unwrap_or_default();
        let mut headers = HashMap::new();
        for header in lines {
            let header = header?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let last = line.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        let (behaviour, number) = {
            let mut pages = lock(&self.0);
            let page = pages.entry(last).or_default();
            page.asked.push(Asked { line, headers });
            (page.behaviour.clone(), page.asked.len() - 1)
        };
        let reply = behaviour.map_or_else(|| Reply::status(404), |behaviour| behaviour(number));
        std::thread::sleep(reply.delay);
        let location = reply.location.map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
        let (status, body) = (reply.status, reply.body);
        write!(
            stream,
            "HTTP/1.1 {status} -\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// A TLS handshake as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Greeted {
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Octets that came after the handshake, before the end.
    pub(crate) said: usize,
    /// Whether the validator has hung up.
    pub(crate) ended: bool,
}

#[derive(Default)]
struct Site {
    config: Option<Arc<ServerConfig>>,
    greeted: Vec<Greeted>,
}

/// Answers TLS handshakes with the certificate that was given for their SNI.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Mutex<HashMap<String, Site>>>);

impl Tls {
    pub(crate) fn start(addresses: &[SocketAddr]) -> Self {
        let tls = Self(Arc::default());
        for address in addresses {
            let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            let tls = tls.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let tls = tls.clone();
                    // A validator that hangs up asks again.
                    std::thread::spawn(move || tls.serve(stream));
                }
            });
        }
        tls
    }

    /// The certificate to show for a server name, its key (PKCS#8), and the protocols to choose from.
    pub(crate) fn offer(&self, server_name: &str, certificate: Vec<u8>, pkcs8: Vec<u8>, protocols: &[&[u8]]) {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = PrivateKeyDer::Pkcs8(pkcs8.into());
        let key = provider.key_provider.load_private_key(key).expect("a key");
        // Not checked against each other: rustls does not read certificates with critical extensions
        // that it does not know.
        let shown = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
        let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let config = builder.expect("TLS versions").with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        lock(&self.0).entry(server_name.to_owned()).or_default().config = Some(Arc::new(config));
    }

    /// The handshakes for a server name.
    pub(crate) fn greeted(&self, server_name: &str) -> Vec<Greeted> {
        lock(&self.0).get(server_name).map(|site| site.greeted.clone()).unwrap_or_default()
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(SILENCE))?;
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            acceptor.read_tls(&mut stream)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => break accepted,
                Ok(None) => {}
                Err((error, _)) => return Err(std::io::Error::other(error)),
            }
        };
        let hello = accepted.client_hello();
        let name = hello.server_name().unwrap_or_default().to_owned();
        let alpn = hello.alpn().map(|list| list.map(<[u8]>::to_vec).collect()).unwrap_or_default();
        let (config, number) = {
            let mut sites = lock(&self.0);
            let site = sites.entry(name.clone()).or_default();
            site.greeted.push(Greeted { alpn, ..Greeted::default() });
            (site.config.clone(), site.greeted.len() - 1)
        };
        let config = config.ok_or_else(|| std::io::Error::other("no certificate for this name"))?;
        let mut connection = accepted.into_connection(config).map_err(|(error, _)| std::io::Error::other(error))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        let mut said = Vec::new();
        // How it ends is not asked: with close_notify or without.
        let _ = rustls::Stream::new(&mut connection, &mut stream).read_to_end(&mut said);
        if let Some(greeted) = lock(&self.0).get_mut(&name).and_then(|site| site.greeted.get_mut(number)) {
            greeted.said = said.len();
            greeted.ended = true;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
