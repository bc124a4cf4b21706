//! One connection: TLS, the limits of HTTP, and who is on the other end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::linger::Linger;
use super::write_timeout::WriteTimeout;
use super::{Shared, request};
use crate::service::administrators::{Peer, PeerCertificate};

/// A connection, and where it comes from.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepted {
    /// The IP address at the other end, if there is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, from) => Some(from.ip()),
            Self::Unix(_) => None,
        }
    }
}

/// Serves one connection to its end. What goes wrong on it concerns nobody else.
pub(super) async fn serve(accepted: Accepted, tls: Option<Arc<ServerConfig>>, router: Router, shared: Arc<Shared>) {
    let (from, served) = match accepted {
        Accepted::Tcp(stream, from) => (from.to_string(), secure(stream, from.to_string(), tls, router, shared).await),
        Accepted::Unix(stream) => ("unix".to_owned(), secure(stream, "unix".to_owned(), tls, router, shared).await),
    };
    if let Err(error) = served {
        tracing::debug!(from, %error, "a connection ended early");
    }
}

async fn secure<S>(
    stream: S,
    from: String,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    shared: Arc<Shared>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Linger::new(WriteTimeout::new(stream, shared.limits.write_timeout));
    let Some(config) = tls else {
        return speak(stream, Peer { from, certificate: None }, router, shared).await;
    };
    let handshake = tokio::time::timeout(shared.limits.header_timeout, handshake(stream, config, &shared));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.map(|shown| PeerCertificate::read(shown)).transpose().map_err(io::Error::other)?;
    speak(stream, Peer { from, certificate }, router, shared).await
}

/// The client is awaited without a permit, before the token's signature and after it, so that
/// silent connections hold up nobody's handshake.
async fn handshake<S>(stream: S, config: Arc<ServerConfig>, shared: &Shared) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let permit = shared.handshakes.acquire().await.map_err(io::Error::other)?;
    // rustls asks for the signature here, on the ClientHello. Only after a HelloRetryRequest, for
    // a client that guessed none of our groups, does it ask while the handshake goes on.
    let rest = start.into_stream(config);
    drop(permit);
    rest.await
}

async fn speak<S>(stream: S, peer: Peer, router: Router, shared: Arc<Shared>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let mut stop = shared.stop.clone();
    let stopped = async move { stop.wait_for(|stop| *stop).await.map(drop) };
    let limits = shared.limits.clone();
    let service = service_fn(move |request| {
        request::serve(request, Arc::clone(&peer), router.clone(), Arc::clone(&shared.services), &shared.limits)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(limits.header)
        .max_buf_size(limits.header.max(64 << 10))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

/// Header lines in one request.
const MAX_HEADERS: usize = 64;
