//! http-01 (RFC 8555 section 8.3).
//!
//! Each hop resolves its name afresh, checks every address against the allowed networks, and
//! connects to the very address that was checked, so no second lookup can lead elsewhere.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policy::name::DnsName;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Failure, FailureKind, Retry, Validator, step};

/// Names this validator in every authorization (I2): changed whenever what it accepts changes.
pub const VERSION: &str = "http-01/1";

/// How it calls itself.
const AGENT: &str = concat!("signetd/", env!("CARGO_PKG_VERSION"), " (http-01 validation)");

/// Room for the header of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;

/// One attempt, within the time that the configuration allows.
pub(super) async fn validate(
    validator: &Validator,
    name: &DnsName,
    token: &str,
    expected: &str,
) -> Result<(), Failure> {
    let path = format!("/.well-known/acme-challenge/{token}");
    let first = Target {
        scheme: Scheme::Http,
        host: name.clone(),
        port: validator.config.http01_port,
        explicit_port: false,
        path,
    };
    let url = first.to_string();
    match timeout(validator.config.timeout, follow(validator, first, expected)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(
            FailureKind::Connection,
            Retry::Yes,
            format!(
                "{url} did not answer within {} seconds, redirects included",
                validator.config.timeout.as_secs_f32()
            ),
        )),
    }
}

async fn follow(validator: &Validator, first: Target, expected: &str) -> Result<(), Failure> {
    let mut target = first;
    for _ in 0..=validator.config.max_redirects {
        let (answer, address) = get(validator, &target).await?;
        let from = format!("{target} at {address}");
        let status = answer.status();
        if status.is_success() {
            return compare(validator, answer, &from, expected).await;
        }
        let location = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
        let Some(location) = location else {
            let detail =
                format!("{from} answered with status {}, expected 200 and the key authorization", status.as_u16());
            return Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail));
        };
        target = target.redirect(location, validator.config.http01_port).map_err(|why| {
            let location = shown(location.as_bytes());
            Failure::new(FailureKind::Unauthorized, Retry::No, format!("{from} redirects to {location}: {why}"))
        })?;
    }
    let detail = format!("more than {} redirects, the last to {target}", validator.config.max_redirects);
    Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail))
}

/// The body, white space at its end left out, must be the key authorization.
async fn compare(validator: &Validator, answer: Response<Incoming>, from: &str, expected: &str) -> Result<(), Failure> {
    let wrong = |found: String| {
        Failure::new(
            FailureKind::IncorrectResponse,
            Retry::No,
            format!("{from} answered {found}, expected \"{expected}\""),
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
    let found = body.trim_ascii_end();
    if found == expected.as_bytes() { Ok(()) } else { Err(wrong(shown(found))) }
}

/// Asks one URL; says which address answered.
async fn get(validator: &Validator, target: &Target) -> Result<(Response<Incoming>, SocketAddr), Failure> {
    let addresses = validator.resolver.addresses(&target.host).await?;
    let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| validator.config.allowed_networks.allows(*address));
    let mut failure = Failure::new(
        FailureKind::Unauthorized,
        Retry::No,
        format!(
            "{} has no address that this server may connect to; it has {}",
            target.host,
            refused.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
        ),
    );
    for address in allowed {
        let address = SocketAddr::new(address, target.port);
        let limit = step(validator.config.timeout);
        let trouble =
            |what: String| Failure::new(FailureKind::Connection, Retry::Yes, format!("{target} at {address}: {what}"));
        failure = match timeout(limit, TcpStream::connect(address)).await {
            Err(_) => trouble("the connection was not made in time".into()),
            Ok(Err(error)) => trouble(format!("the connection failed: {error}")),
            // Once connected, this address answers or nobody does.
            Ok(Ok(stream)) => {
                let answer = match target.scheme {
                    Scheme::Http => ask(stream, target).await,
                    Scheme::Https => match handshake(validator, stream, target).await {
                        Ok(stream) => ask(stream, target).await,
                        Err(why) => Err(why),
                    },
                };
                return answer.map(|answer| (answer, address)).map_err(trouble);
            }
        };
    }
    Err(failure)
}

async fn handshake(
    validator: &Validator,
    stream: TcpStream,
    target: &Target,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(target.host.as_str().to_owned()).map_err(|error| error.to_string())?;
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
struct Target {
    scheme: Scheme,
    host: DnsName,
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
        let host = DnsName::parse(&authority.host().to_ascii_lowercase())
            .ok()
            .filter(|host| !host.is_wildcard())
            .ok_or("only DNS names are followed, not addresses")?;
        let port = authority.port_u16().unwrap_or(scheme.port());
        if port != 80 && port != 443 && port != http01_port {
            return Err("only ports 80 and 443 are followed");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { scheme, host, port, explicit_port: authority.port_u16().is_some(), path })
    }

    fn authority(&self) -> String {
        if self.explicit_port { format!("{}:{}", self.host, self.port) } else { self.host.to_string() }
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

/// The beginning of foreign bytes, fit to be shown: printable ASCII, the rest as dots.
fn shown(bytes: &[u8]) -> String {
    const LENGTH: usize = 100;
    let text: String = bytes
        .iter()
        .take(LENGTH)
        .map(|octet| if octet.is_ascii_graphic() || *octet == b' ' { char::from(*octet) } else { '.' })
        .collect();
    let rest = if bytes.len() > LENGTH { " and more" } else { "" };
    format!("\"{text}\"{rest}")
}

#[cfg(test)]
mod tests;
