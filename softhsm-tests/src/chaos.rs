//! A proxy between ACME clients and the server that does what bad networks, load balancers and
//! impatient clients do: it loses answers, cuts connections, delivers requests twice, and hands out
//! nonces that were used before.
//!
//! It speaks HTTP over TLS on both sides: to the server as a client that trusts it, to the clients
//! with a certificate of its own. The server must have the proxy's address in its `public_url`, so
//! that every URL leads through the proxy.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::acme::{Answer, Https};
use crate::rig::Failure;

/// How often each fault happens, in requests of a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The answer carries a nonce that was used before.
    pub bad_nonce: u64,
    /// The request is delivered, and the answer dropped with the connection.
    pub lost_answer: u64,
    /// The request is delivered twice at the same time; either answer goes back.
    pub duplicated: u64,
    /// The connection is cut before the request is delivered, or in the middle of the answer.
    pub cut: u64,
}

/// How often each fault did happen.
#[derive(Debug, Default)]
pub struct Done {
    /// Requests that were delivered at least once.
    pub requests: AtomicU64,
    /// See [`Faults::bad_nonce`].
    pub bad_nonces: AtomicU64,
    /// See [`Faults::lost_answer`].
    pub lost_answers: AtomicU64,
    /// See [`Faults::duplicated`].
    pub duplicated: AtomicU64,
    /// See [`Faults::cut`].
    pub cut: AtomicU64,
}

/// The proxy; it stops listening when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    /// Trust in its certificate, for clients.
    pub tls: Arc<ClientConfig>,
}

struct Shared {
    address: SocketAddr,
    server: String,
    to_server: Arc<ClientConfig>,
    to_clients: Arc<ServerConfig>,
    faults: Faults,
    chance: Mutex<Chance>,
    /// Nonces that went through, and were used since.
    used: Mutex<Vec<String>>,
    done: Done,
    stop: AtomicBool,
}

/// Chance that can be repeated: SplitMix64.
struct Chance(u64);

/// What is done to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    BadNonce,
    CutAnswer,
    CutRequest,
    Duplicate,
    LoseAnswer,
    None,
}

/// Longest wait for bytes of a client.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Used nonces that are kept to be handed out again.
const MAX_USED: usize = 1000;
/// Largest body of a request.
const MAX_BODY: usize = 1 << 20;

impl Proxy {
    /// Listens on `port` of loopback, in front of the server at the authority `server`, which
    /// `to_server` trusts. The proxy's key and certificate are made in `directory`.
    pub fn start(
        directory: &Path,
        port: u16,
        server: &str,
        to_server: Arc<ClientConfig>,
        faults: Faults,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (to_clients, tls) = certificate(directory)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        let shared = Arc::new(Shared {
            address,
            server: server.to_owned(),
            to_server,
            to_clients,
            faults,
            chance: Mutex::new(Chance(seed)),
            used: Mutex::default(),
            done: Done::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let listener = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    // A client that goes away, and one that is sent away, end here.
                    let _ = shared.serve(stream);
                });
            }
        });
        Ok(Self { shared, listener: Some(listener), tls })
    }

    /// How often each fault did happen.
    pub fn done(&self) -> &Done {
        &self.shared.done
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the thread; if it does not listen any more it needs no waking.
        drop(TcpStream::connect(self.shared.address));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// A request as it came.
struct Request {
    method: String,
    path: String,
    kind: Option<String>,
    body: Vec<u8>,
}

impl Shared {
    fn serve(&self, socket: TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let connection = ServerConnection::new(Arc::clone(&self.to_clients)).map_err(Error::other)?;
        let mut client = BufReader::new(StreamOwned::new(connection, socket));
        let mut server = Https::new(Arc::clone(&self.to_server), &self.server)?;
        while let Some(request) = read_request(&mut client)? {
            let fault = self.fault(&request);
            if fault == Fault::CutRequest {
                self.done.cut.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let answer = match fault {
                Fault::Duplicate => self.twice(&mut server, &request)?,
                _ => deliver(&mut server, &request)?,
            };
            self.done.requests.fetch_add(1, Ordering::Relaxed);
            self.note_nonce(&request);
            let stale = if fault == Fault::BadNonce { self.stale_nonce() } else { None };
            let bytes = written(&answer, request.method == "HEAD", stale.as_deref());
            let count = match fault {
                Fault::BadNonce if stale.is_some() => Some(&self.done.bad_nonces),
                Fault::CutAnswer => Some(&self.done.cut),
                Fault::Duplicate => Some(&self.done.duplicated),
                Fault::LoseAnswer => Some(&self.done.lost_answers),
                _ => None,
            };
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let sent = match fault {
                Fault::LoseAnswer => return Ok(()),
                Fault::CutAnswer => &bytes[..self.below(bytes.len() as u64) as usize],
                _ => &bytes[..],
            };
            client.get_mut().write_all(sent)?;
            client.get_mut().flush()?;
            if fault == Fault::CutAnswer {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Delivers a request twice at once; gives one of the answers.
    fn twice(&self, server: &mut Https, request: &Request) -> std::io::Result<Answer> {
        let mut other = Https::new(Arc::clone(&self.to_server), &self.server)?;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| deliver(&mut other, request));
            (deliver(server, request), second.join().unwrap_or_else(|_| Err(ErrorKind::Other.into())))
        });
        if self.below(2) == 0 { first } else { second }
    }

    fn fault(&self, request: &Request) -> Fault {
        let mut drawn = self.below(1000);
        let Faults { bad_nonce, lost_answer, duplicated, cut } = self.faults;
        let before = cut / 2;
        for (fault, share) in [
            (Fault::BadNonce, bad_nonce),
            (Fault::LoseAnswer, lost_answer),
            (Fault::CutRequest, before),
            (Fault::CutAnswer, cut - before),
            (Fault::Duplicate, if request.method == "POST" { duplicated } else { 0 }),
        ] {
            match drawn.checked_sub(share) {
                None => return fault,
                Some(rest) => drawn = rest,
            }
        }
        Fault::None
    }

    /// Remembers the nonce of a request that was delivered.
    fn note_nonce(&self, request: &Request) {
        if let Some(nonce) = nonce_of(&request.body) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.len() >= MAX_USED {
                used.swap_remove(0);
            }
            used.push(nonce);
        }
    }

    fn stale_nonce(&self) -> Option<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.below(used.len().max(1) as u64) as usize;
        used.get(index).cloned()
    }

    /// A number below `bound`, which is not 0.
    fn below(&self, bound: u64) -> u64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).draw() % bound.max(1)
    }
}

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn deliver(server: &mut Https, request: &Request) -> std::io::Result<Answer> {
    server.request(&request.method, &request.path, request.kind.as_deref(), &request.body)
}

/// The nonce in a JWS's protected header.
fn nonce_of(body: &[u8]) -> Option<String> {
    use base64::Engine;
    let jws: serde_json::Value = serde_json::from_slice(body).ok()?;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jws["protected"].as_str()?).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header["nonce"].as_str().map(str::to_owned)
}

/// The next request; none if the client closed the connection.
fn read_request(client: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if client.by_ref().take(16 * 1024).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = words.next().zip(words.next()).ok_or(ErrorKind::InvalidData)?;
    let mut request = Request { method, path, kind: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut line = String::new();
        client.by_ref().take(16 * 1024).read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(Error::other)?,
            "content-type" => request.kind = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    if length > MAX_BODY {
        return Err(ErrorKind::InvalidData.into());
    }
    request.body.resize(length, 0);
    client.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// The bytes of an answer, with another nonce if one is given.
fn written(answer: &Answer, head: bool, nonce: Option<&str>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Relayed\r\n", answer.status);
    for (name, value) in answer.all_headers() {
        let value = match (name, nonce) {
            ("replay-nonce", Some(nonce)) => nonce,
            ("connection" | "content-length" | "transfer-encoding", _) => continue,
            (_, _) => value,
        };
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !head && answer.status != 204 {
        text.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if !head {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}

/// A key and a self-signed certificate for loopback, and trust in it.
fn certificate(directory: &Path) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Failure> {
    let (key, certificate) = (directory.join("chaos.key"), directory.join("chaos.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=chaos", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    if !made.status.success() {
        return Err(format!("openssl: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let fault = |error: &dyn std::fmt::Display| format!("the proxy's certificate: {error}");
    let chain = vec![CertificateDer::from_pem_file(&certificate).map_err(|error| fault(&error))?];
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| fault(&error))?;
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).map_err(|error| fault(&error))?;
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fault(&error))?;
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server), Arc::new(client)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_evenly() {
        let draw = |seed| {
            let mut chance = Chance(seed);
            (0..10_000).map(|_| chance.draw() % 1000).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let faults = draw(7).iter().filter(|drawn| **drawn < 50).count();
        assert!((400..600).contains(&faults), "{faults}");
    }
}
