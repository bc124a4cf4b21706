//! HTTP/1.1 over TLS on one kept connection: as much as an ACME client needs, and no runtime.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Longest wait for bytes of an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Every header of that name (lower case), in their order.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Every header, names in lower case.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A server, and the connection to it if there is one.
pub struct Https {
    config: Arc<ClientConfig>,
    host: String,
    address: SocketAddr,
    stream: Option<BufReader<StreamOwned<ClientConnection, TcpStream>>>,
}

impl Https {
    /// A server at `host:port`; `host` is an IP address or `localhost`.
    pub fn new(config: Arc<ClientConfig>, authority: &str) -> std::io::Result<Self> {
        use std::net::ToSocketAddrs;
        let address = authority.to_socket_addrs()?.find(SocketAddr::is_ipv4).ok_or(ErrorKind::NotFound)?;
        Ok(Self { config, host: authority.to_owned(), address, stream: None })
    }

    /// Sends a request and reads the answer. The connection is kept if both sides allow it, and
    /// opened anew when the server closed it before it had read the request.
    pub fn request(&mut self, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> std::io::Result<Answer> {
        let mut head = format!("Host: {}\r\nUser-Agent: signet-rig\r\n", self.host);
        if let Some(kind) = kind {
            head.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()));
        }
        self.raw(method, path, &head, body)
    }

    /// The same with all headers chosen by the caller, one a line.
    pub fn raw(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let kept = self.stream.is_some();
        match self.exchange(method, path, headers, body) {
            // A kept connection may have been closed meanwhile; that is no answer.
            Err(error) if kept && is_closed(&error) => self.exchange(method, path, headers, body),
            result => result,
        }
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.stream = None;
    }

    fn exchange(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        stream.get_mut().write_all(&bytes)?;
        stream.get_mut().flush()?;
        let answer = read_answer(&mut stream, method == "HEAD")?;
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> std::io::Result<BufReader<StreamOwned<ClientConnection, TcpStream>>> {
        let socket = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
        let connection = ClientConnection::new(self.config.clone(), name).map_err(Error::other)?;
        Ok(BufReader::new(StreamOwned::new(connection, socket)))
    }
}

fn is_closed(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn read_answer(stream: &mut impl BufRead, head: bool) -> std::io::Result<Answer> {
    let status = read_line(stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no HTTP status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head || status == 204 || status == 304 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let line = read_line(stream)?;
            let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            let start = answer.body.len();
            read_more(stream, &mut answer.body, length)?;
            debug_assert_eq!(answer.body.len(), start + length);
            read_line(stream)?;
            if length == 0 {
                return Ok(answer);
            }
        }
    }
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    read_more(stream, &mut answer.body, length)?;
    Ok(answer)
}

fn read_more(stream: &mut impl BufRead, body: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
    if length > MAX_BODY - body.len() {
        return Err(Error::new(ErrorKind::InvalidData, "the answer is too large"));
    }
    let start = body.len();
    body.resize(start + length, 0);
    stream.read_exact(&mut body[start..])
}

fn read_line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    stream.by_ref().take(16 * 1024).read_line(&mut line)?;
    // Half a line is no line: the answer was cut.
    match line.ends_with('\n') {
        true => Ok(line.trim_end().to_owned()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}
