//! http-01 (RFC 8555 section 8.3; RFC 8738 section 5 for addresses).
//!
//! Each hop resolves its name afresh and connects to an address that was checked.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policy::evidence::Observation;
use policy::name::Name;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connect::connect;
use super::failure::excerpt;
use super::{Failure, FailureKind, Retry, Shown, Validator};

/// Names this validator in every authorization (I2): changed whenever what it accepts changes.
pub(super) const VERSION: &str = "http-01/1";

/// How it calls itself.
const AGENT: &str = concat!("signetd/", env!("CARGO_PKG_VERSION"), " (http-01 validation)");

/// Room for the header of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;

/// One attempt.
pub(super) async fn validate(
    validator: &Validator,
    name: &Name,
    token: &str,
    expected: &str,
) -> Result<Shown, Failure> {
    let expected = Expected { what: "key authorization", text: expected, end: End::Blank };
    let seen = follow(validator, first(validator, name, token), &expected).await?;
    Ok(Shown { validator: VERSION, seen, until: None })
}

/// One attempt at a file of another dialect, at a port of its choice, with exactly this text.
pub(super) async fn file(
    validator: &Validator,
    name: &Name,
    port: Option<u16>,
    path: &str,
    text: &str,
) -> Result<Observation, Failure> {
    let expected = Expected { what: "token", text, end: End::Exact };
    follow(validator, target(validator, name, port, path), &expected).await
}

/// What a file must hold.
struct Expected<'a> {
    what: &'static str,
    text: &'a str,
    end: End,
}

/// What may follow it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// White space, RFC 8555 section 8.3.
    Blank,
    /// Nothing.
    Exact,
}

/// Where an attempt begins.
pub(super) fn url(validator: &Validator, name: &Name, token: &str) -> String {
    first(validator, name, token).to_string()
}

fn first(validator: &Validator, name: &Name, token: &str) -> Target {
    target(validator, name, None, &format!("/.well-known/acme-challenge/{token}"))
}

/// A path of a host, at the configured port unless another one is named.
pub(super) fn target(validator: &Validator, name: &Name, port: Option<u16>, path: &str) -> Target {
    Target {
        scheme: Scheme::Http,
        host: name.clone(),
        port: port.unwrap_or(validator.config.http01_port),
        explicit_port: port.is_some(),
        path: path.to_owned(),
    }
}

async fn follow(validator: &Validator, first: Target, expected: &Expected<'_>) -> Result<Observation, Failure> {
    let mut target = first;
    for _ in 0..=validator.config.max_redirects {
        let (answer, address, seen) = get(validator, &target).await?;
        let from = format!("{target} at {address}");
        let status = answer.status();
        if status.is_success() {
            return compare(validator, answer, &from, expected).await.map(|()| seen);
        }
        let location = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
        let Some(location) = location else {
            let detail =
                format!("{from} answered with status {}, expected 200 and the {}", status.as_u16(), expected.what);
            // A server that is busy or starting says so with these.
            let retry = if status.is_server_error() || status.as_u16() == 429 { Retry::Yes } else { Retry::No };
            return Err(Failure::new(FailureKind::Unauthorized, retry, detail));
        };
        target = target.redirect(location, validator.config.http01_port).map_err(|why| {
            let location = excerpt(location.as_bytes());
            Failure::new(FailureKind::Unauthorized, Retry::No, format!("{from} redirects to {location}: {why}"))
        })?;
    }
    let detail = format!("more than {} redirects, the last to {target}", validator.config.max_redirects);
    Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail))
}

/// The body must be what is expected.
async fn compare(
    validator: &Validator,
    answer: Response<Incoming>,
    from: &str,
    expected: &Expected<'_>,
) -> Result<(), Failure> {
    let wrong = |found: String| {
        Failure::new(
            FailureKind::IncorrectResponse,
            Retry::No,
            format!("{from} answered {found}, expected \"{}\"", expected.text),
        )
    };
    let body = match Limited::new(answer.into_body(), validator.config.max_body).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(wrong(format!("with more than {} bytes", validator.config.max_body)));
        }
        Err(error) => {
            let detail = format!("{from} broke off its answer: {error}");
            return Err(Failure::new(FailureKind::Connection, Retry::Yes, detail));
        }
    };
    let found = if expected.end == End::Blank { body.trim_ascii_end() } else { &body };
    if found == expected.text.as_bytes() { Ok(()) } else { Err(wrong(excerpt(found))) }
}

/// Asks one URL; says which address answered.
async fn get(validator: &Validator, target: &Target) -> Result<(Response<Incoming>, SocketAddr, Observation), Failure> {
    let connected = connect(validator, &target.host, target.port, target).await?;
    let (address, seen) = (connected.address, connected.observation());
    // Once connected, this address answers or nobody does.
    let answer = match target.scheme {
        Scheme::Http => ask(connected.stream, target).await,
        Scheme::Https => match handshake(validator, connected.stream, target).await {
            Ok(stream) => ask(stream, target).await,
            Err(what) => {
                let detail = format!("{target} at {address}: {what}");
                return Err(Failure::new(FailureKind::Tls, Retry::Yes, detail));
            }
        },
    };
    match answer {
        Ok(answer) => Ok((answer, address, seen)),
        Err(what) => Err(Failure::new(FailureKind::Connection, Retry::Yes, format!("{target} at {address}: {what}"))),
    }
}

async fn handshake(
    validator: &Validator,
    stream: TcpStream,
    target: &Target,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = match &target.host {
        Name::Dns(name) => ServerName::try_from(name.as_str().to_owned()).map_err(|error| error.to_string())?,
        Name::Ip(address) => ServerName::IpAddress((*address).into()),
    };
    let connector = TlsConnector::from(validator.tls.clone());
    connector.connect(name, stream).await.map_err(|error| format!("the TLS handshake failed: {error}"))
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
) -> Result<Response<Incoming>, String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ends with the answer, or when the attempt is dropped: hyper closes it with the sender.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(&target.path)
        .header(HOST, target.authority())
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| format!("no HTTP answer: {error}"))
}

/// Where one hop goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    scheme: Scheme,
    host: Name,
    port: u16,
    /// Whether the URL named the port: then the Host header does too (RFC 9110 section 7.2).
    explicit_port: bool,
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Target {
    /// Where a Location header leads (RFC 8555 section 8.3: http and https, on their own ports).
    fn redirect(&self, location: &HeaderValue, http01_port: u16) -> Result<Self, &'static str> {
        let location = location.to_str().map_err(|_| "the Location is not text")?;
        if location.len() > 2048 {
            return Err("the Location is too long");
        }
        // The part after `#` is the client's own affair (RFC 9110 section 10.2.2).
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with('/') && !location.starts_with("//") {
            location.parse::<Uri>().map_err(|_| "the Location is not a URL")?;
            return Ok(Self { path: location.to_owned(), ..self.clone() });
        }
        let uri: Uri = match location.strip_prefix("//") {
            Some(rest) => format!("{}://{rest}", self.scheme.name()).parse(),
            None => location.parse(),
        }
        .map_err(|_| "the Location is not a URL")?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err("only http and https are followed"),
        };
        let authority = uri.authority().ok_or("the Location names no host")?;
        if authority.as_str().contains('@') {
            return Err("a Location with a user name is not followed");
        }
        // An address must be written as everybody reads it: no 0x7f.1, no 2130706433 (RFC 5952 and
        // RFC 6943 section 3.1.1). Brackets are for IPv6 and for nothing else.
        let host = authority.host().to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = Name::parse(bare.unwrap_or(&host))
            .ok()
            .filter(|host| !host.is_wildcard() && bare.is_some() == matches!(host, Name::Ip(IpAddr::V6(_))))
            .ok_or("its host is neither a DNS name nor an address in canonical form")?;
        let port = authority.port_u16().unwrap_or(scheme.port());
        if port != 80 && port != 443 && port != http01_port {
            return Err("only ports 80 and 443 are followed");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { scheme, host, port, explicit_port: authority.port_u16().is_some(), path })
    }

    /// The Host header (RFC 9110 section 7.2; RFC 8738 section 5: an IPv6 address in brackets).
    fn authority(&self) -> String {
        let host = match &self.host {
            Name::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            host => host.to_string(),
        };
        if self.explicit_port { format!("{host}:{}", self.port) } else { host }
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests;
