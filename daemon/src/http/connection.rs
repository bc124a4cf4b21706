//! One connection: TLS, the limits of HTTP, and who is on the other end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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
use super::{Shared, Site, request};
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
pub(super) async fn serve(accepted: Accepted, tls: Option<Arc<ServerConfig>>, site: Site, shared: Arc<Shared>) {
    let (from, served) = match accepted {
        Accepted::Tcp(stream, from) => (from.to_string(), secure(stream, from.to_string(), tls, site, shared).await),
        Accepted::Unix(stream) => ("unix".to_owned(), secure(stream, "unix".to_owned(), tls, site, shared).await),
    };
    if let Err(error) = served {
        tracing::debug!(from, %error, "a connection ended early");
    }
}

async fn secure<S>(
    stream: S,
    from: String,
    tls: Option<Arc<ServerConfig>>,
    site: Site,
    shared: Arc<Shared>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Linger::new(WriteTimeout::new(stream, shared.limits.write_timeout));
    let Some(config) = tls else {
        return speak(stream, Peer { from, certificate: None }, site, shared).await;
    };
    let handshake = tokio::time::timeout(shared.limits.header_timeout, handshake(stream, config, &shared));
    let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = shown.map(|shown| PeerCertificate::read(shown)).transpose().map_err(io::Error::other)?;
    speak(stream, Peer { from, certificate }, site, shared).await
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

async fn speak<S>(stream: S, peer: Peer, site: Site, shared: Arc<Shared>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let mut stop = shared.stop.clone();
    let stopped = async move { stop.wait_for(|stop| *stop).await.map(drop) };
    let (watched, watching) = (Arc::clone(&peer), Arc::clone(&shared));
    let cut_off = async move { cut_off(&watched, &watching).await };
    let limits = shared.limits.clone();
    let service = service_fn(move |request| {
        request::serve(request, Arc::clone(&peer), site.clone(), Arc::clone(&shared.services), &shared.limits)
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
        () = cut_off => return Err(io::Error::other("its owner was removed, or his certificate revoked")),
        _ = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

/// Returns when the certificate at the other end no longer counts; never, if there is none.
async fn cut_off(peer: &Peer, shared: &Shared) {
    let Some(certificate) = &peer.certificate else { return std::future::pending().await };
    loop {
        tokio::time::sleep(shared.recheck).await;
        match shared.services.is_cut_off(certificate) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the store failed while it was asked whether a certificate counts"),
        }
    }
}

/// Header lines in one request.
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use policy::rights::Role;
    use policy::validity::Validity;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Semaphore, watch};

    use super::*;
    use crate::config::Limits;
    use crate::store::Change;
    use crate::store::tables::{ADMINISTRATORS, AdministratorRecord};
    use crate::testing::{Authority, DAY, NOW, services};

    /// Longer than anything here may take, machine under load included.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// An answer that goes on for ever.
    struct Endless(tokio::time::Interval);

    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            ready!(self.0.poll_tick(context));
            Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"drop ")))))
        }
    }

    async fn endless() -> Body {
        Body::new(Endless(tokio::time::interval(Duration::from_millis(20))))
    }

    #[tokio::test]
    async fn what_a_removed_administrator_holds_open_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let services = services(directory.path(), &Authority::new(), directory.path().join("nobody"));
        let fingerprint = "ab".repeat(32);
        let enrol = async |removed| {
            let record =
                AdministratorRecord { name: "A".to_owned(), role: Role::Administrator, enrolled: NOW, removed };
            let mut change = Change::new();
            change.put(&ADMINISTRATORS, &fingerprint, &record);
            services.store.commit(change).await.unwrap();
        };
        enrol(None).await;
        let limits = Limits {
            body: 1024,
            connections: 16,
            header: 8192,
            header_timeout: PATIENCE,
            request_timeout: PATIENCE,
            write_timeout: PATIENCE,
        };
        let (_stop, stop) = watch::channel(false);
        let (services, recheck) = (Arc::clone(&services), Duration::from_millis(50));
        let shared = Arc::new(Shared { services, limits, handshakes: Semaphore::new(1), stop, recheck });
        let validity = Validity::new(NOW.minus(DAY), NOW.plus(DAY)).unwrap();
        let certificate = PeerCertificate { fingerprint: fingerprint.clone(), serial: None, validity };
        let router = axum::Router::new().route("/endless", get(endless)).route("/short", get(async || "short"));
        let site = Site::new(router, &[]);
        let connect = |certificate: Option<PeerCertificate>| {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let peer = Peer { from: "test".to_owned(), certificate };
            tokio::spawn(speak(theirs, peer, site.clone(), Arc::clone(&shared)));
            ours
        };
        let (mut streaming, mut idle) = (connect(Some(certificate.clone())), connect(Some(certificate)));
        let mut anonymous = connect(None);
        let mut buffer = [0; 4096];
        for (stream, path) in [(&mut streaming, "endless"), (&mut idle, "short"), (&mut anonymous, "endless")] {
            stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
        }
        // Several looks find nothing wrong.
        tokio::time::sleep(4 * recheck).await;
        assert!(streaming.read(&mut buffer).await.unwrap() > 0);

        enrol(Some(NOW)).await;
        for stream in [&mut streaming, &mut idle] {
            let mut rest = Vec::new();
            let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
            assert!(end.is_ok(), "the connection is still open");
        }
        assert!(anonymous.read(&mut buffer).await.unwrap() > 0, "a connection of nobody in particular goes on");
    }
}
