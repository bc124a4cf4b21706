//! Binding sockets and accepting connections.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SockType;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::connection::{self, Accepted};
use super::{Endpoint, Shared};
use crate::config::Address;
use crate::service::limits::Tally;

/// A bound socket, not yet part of a runtime.
pub enum Socket {
    /// TCP
    Tcp(std::net::TcpListener),
    /// Unix stream
    Unix(std::os::unix::net::UnixListener),
}

/// A socket cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: String,
    why: String,
}

/// Binds `address`. The socket file of a daemon that is gone is replaced; that of one that lives,
/// or a file of another kind, is not.
pub fn bind(address: &Address) -> Result<Socket, BindError> {
    let bound = match address {
        Address::Ip(address) => std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Socket::Tcp(listener))
        }),
        Address::Passed(_) => {
            Err(io::Error::other("systemd passes none of that name: enable its unit, or write an `address` instead"))
        }
        Address::Unix(path) => bind_unix(path),
    };
    bound.map_err(|error| BindError { address: address.to_string(), why: error.to_string() })
}

impl BindError {
    /// A socket that cannot be used, and why.
    pub fn new(address: impl ToString, why: impl ToString) -> Self {
        Self { address: address.to_string(), why: why.to_string() }
    }
}

impl Socket {
    /// A socket that listens already: TCP or a unix stream.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<Self> {
        if getsockopt(&descriptor, SockType) != Ok(nix::sys::socket::SockType::Stream) {
            return Err(io::Error::other("it is not a stream socket: write ListenStream= in its unit"));
        }
        let tcp = std::net::TcpListener::from(descriptor);
        if tcp.local_addr().is_ok() {
            tcp.set_nonblocking(true)?;
            return Ok(Self::Tcp(tcp));
        }
        let unix = std::os::unix::net::UnixListener::from(OwnedFd::from(tcp));
        unix.local_addr()?;
        unix.set_nonblocking(true)?;
        Ok(Self::Unix(unix))
    }

    /// Where it listens, if that has a name.
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Address::Ip),
            Self::Unix(listener) => Some(Address::Unix(listener.local_addr().ok()?.as_pathname()?.to_owned())),
        }
    }
}

fn bind_unix(path: &Path) -> io::Result<Socket> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::other("a file that is not a socket is in the way: remove it"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::other("another process listens there: stop it first"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix(listener))
}

/// Accepts until the order to stop. Over the limit of connections it stops accepting, so that the
/// kernel's backlog, not our memory, holds what is too much.
pub(super) async fn accept(endpoint: Endpoint, permits: Arc<Semaphore>, shared: Arc<Shared>) {
    let Endpoint { socket, tls, site } = endpoint;
    let listener = match socket {
        Socket::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
        Socket::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be used"),
    };
    let mut stop = shared.stop.clone();
    let addresses = Tally::default();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            next = next => next,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok(accepted) => {
                // Closed without a word: whoever has that many open can wait for one of them.
                let turn = shared.services.limits.connection(&addresses, accepted.address());
                let Ok(turn) = turn else { continue };
                let connection = connection::serve(accepted, tls.clone(), site.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    connection.await;
                    drop((permit, turn));
                });
            }
            // Out of descriptors, or the client was gone already: neither ends the listener.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
            }
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, from))
            }
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

/// The owner and the group may connect: a proxy or a monitor is put in the group.
const SOCKET_MODE: u32 = 0o660;

/// Keeps a lack of descriptors from becoming a busy loop.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
