//! Fetching as relying parties do: plain HTTP, from a listener of our own or by a URL.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use policy::crl::{self, Facts};
use policy::name::{DnsName, Name};
use policy::tbs::Issuer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Address;

/// What is fetched, and from where.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Whom to connect to.
    pub(super) address: Address,
    /// The Host header.
    pub(super) host: String,
    /// The path, from the first `/` on.
    pub(super) path: String,
}

/// A URL as it stands in certificates: plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host and port, as they stand there.
    authority: String,
    host: Name,
    port: u16,
    path: String,
}

impl Url {
    /// Reads a URL; a sentence if it is none that a relying party can use.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` {why}");
        let rest = text.strip_prefix("http://").ok_or_else(|| wrong("is not plain HTTP"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("has no port that can be read"))?)
            }
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = match host.parse::<IpAddr>() {
            Ok(address) => Name::Ip(address),
            Err(_) => DnsName::parse(&host.to_ascii_lowercase()).map(Name::Dns).map_err(|_| wrong("names no host"))?,
        };
        Ok(Self { authority: authority.to_owned(), host, port, path: path.to_owned() })
    }

    /// The host: a name is to be looked up.
    pub fn host(&self) -> &Name {
        &self.host
    }

    /// This URL at one address of its host.
    pub(super) fn at(&self, address: IpAddr) -> Target {
        let address = Address::Ip(SocketAddr::new(address, self.port));
        Target { address, host: self.authority.clone(), path: self.path.clone() }
    }
}

impl Target {
    /// What is served under `path` at a listener of our own.
    pub(super) fn here(address: &Address, path: String) -> Self {
        Self { address: address.clone(), host: "localhost".to_owned(), path }
    }

    /// The same place with something behind its path.
    pub(super) fn below(&self, more: &str) -> Self {
        let path = format!("{}/{more}", self.path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }

    /// Fetches a CRL and verifies it as it comes: it is never in memory as a whole.
    pub(super) async fn crl(&self, issuer: Arc<Issuer>) -> Result<Facts, String> {
        let mut body = self.ask(None).await?;
        let (pieces, arriving) = mpsc::sync_channel::<Bytes>(PIECES);
        let reading = tokio::task::spawn_blocking(move || {
            let arriving = Arriving { pieces: arriving, piece: Bytes::new() };
            crl::verify(BufReader::new(arriving), &issuer, &mut |_| {}).map_err(|error| error.to_string())
        });
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            let Ok(mut piece) = frame.into_data() else { continue };
            // The reader is a thread of its own, and never waits for this one for long.
            while let Err(error) = pieces.try_send(piece) {
                match error {
                    mpsc::TrySendError::Full(back) => {
                        piece = back;
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    mpsc::TrySendError::Disconnected(_) => break,
                }
                if reading.is_finished() {
                    break;
                }
            }
        }
        drop(pieces);
        reading.await.map_err(|error| error.to_string())?
    }

    /// Fetches something small.
    pub(super) async fn get(&self) -> Result<Bytes, String> {
        whole(self.ask(None).await?).await
    }

    /// Posts an OCSP request.
    pub(super) async fn post(&self, request: Vec<u8>) -> Result<Bytes, String> {
        whole(self.ask(Some(request)).await?).await
    }

    async fn ask(&self, body: Option<Vec<u8>>) -> Result<Incoming, String> {
        let unreachable = |error: io::Error| format!("{} cannot be reached: {error}", self.address);
        match &self.address {
            Address::Ip(socket) => {
                let mut socket = *socket;
                // Listening everywhere is listening here.
                if socket.ip().is_unspecified() {
                    socket.set_ip(match socket {
                        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                self.exchange(TcpStream::connect(socket).await.map_err(unreachable)?, body).await
            }
            Address::Passed(_) => Err("it has no address".to_owned()),
            Address::Unix(path) => self.exchange(UnixStream::connect(path).await.map_err(unreachable)?, body).await,
        }
    }

    async fn exchange<S>(&self, stream: S, body: Option<Vec<u8>>) -> Result<Incoming, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| format!("{self} breaks off: {error}");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        let request = match &body {
            None => Request::get(&self.path),
            Some(_) => Request::post(&self.path).header(CONTENT_TYPE, "application/ocsp-request"),
        };
        let request = request.header(HOST, &self.host).body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| format!("{self} cannot be asked for: {error}"))?;
        let response = sender.send_request(request).await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status if status.is_redirection() => {
                let to = response.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
                let to = to.unwrap_or_default();
                Err(format!("{self} redirects to {to:.200}: not every relying party follows"))
            }
            status => Err(format!("{self} is answered with {status}")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A request in a path is long and says nothing to people.
        write!(f, "{:.120}", self.path)
    }
}

async fn whole(body: Incoming) -> Result<Bytes, String> {
    let body = Limited::new(body, MOST).collect().await.map_err(|error| format!("the answer breaks off: {error}"))?;
    Ok(body.to_bytes())
}

/// A body on its way to a reader that blocks.
struct Arriving {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.piece = piece,
                Err(_) => return Ok(0),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(out.len()));
        out[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// Pieces of a body that wait for the reader.
const PIECES: usize = 16;

/// Octets of an answer that is no CRL: ample for a certificate and its chain.
const MOST: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_what_a_relying_party_makes_of_it() {
        let url = Url::parse("http://pki.example.test:8080/crl/x.crl").unwrap();
        assert_eq!(
            (url.host().to_string().as_str(), url.port, url.path.as_str()),
            ("pki.example.test", 8080, "/crl/x.crl")
        );
        let target = Url::parse("http://[::1]/ocsp/").unwrap().at("::1".parse().unwrap());
        assert_eq!(target.address, Address::Ip("[::1]:80".parse().unwrap()));
        assert_eq!((target.host.as_str(), target.below("abc").path.as_str()), ("[::1]", "/ocsp/abc"));
        assert_eq!(Url::parse("http://192.0.2.1").unwrap().path, "/");
        for text in ["https://a.example.test/", "http:///x", "http://a.example.test:x/", "http://:80/"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
