//! From sockets to handlers: listeners, TLS, limits, request ids, the seal, panics.

mod connection;
mod listener;
mod request;
mod routes;
#[cfg(test)]
mod tests;
mod write_timeout;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use listener::{BindError, Socket, bind};
pub use routes::{local, routes};

use crate::config::Limits;
use crate::service::Services;

/// One bound socket and what it serves.
pub struct Endpoint {
    /// Where connections come from.
    pub socket: Socket,
    /// TLS, or none.
    pub tls: Option<Arc<ServerConfig>>,
    /// What is served.
    pub router: axum::Router,
}

/// What all connections share.
struct Shared {
    services: Arc<Services>,
    limits: Limits,
    /// One permit a connection.
    connections: Arc<Semaphore>,
    /// One permit a handshake whose signature may be waiting for the token.
    handshakes: Semaphore,
    stop: watch::Receiver<bool>,
}

/// Serves until `stop` turns true; then accepts nothing more, lets requests in flight finish for
/// at most [`GRACE`], and returns.
pub async fn serve(endpoints: Vec<Endpoint>, services: Arc<Services>, limits: Limits, stop: watch::Receiver<bool>) {
    let shared = Arc::new(Shared {
        services,
        connections: Arc::new(Semaphore::new(limits.connections)),
        handshakes: Semaphore::new(HANDSHAKES),
        limits,
        stop,
    });
    let mut listeners = JoinSet::new();
    for endpoint in endpoints {
        listeners.spawn(listener::accept(endpoint, Arc::clone(&shared)));
    }
    while listeners.join_next().await.is_some() {}
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, shared.connections.acquire_many(all)).await.is_err() {
        tracing::warn!("some connections were still open at the end of the grace period and are cut");
    }
}

/// How long requests in flight may go on after the order to stop.
pub const GRACE: Duration = Duration::from_secs(20);

/// Handshakes in flight. Each may block a thread of tokio's pool (512 threads) while the token
/// signs, so this keeps the pool from running out.
const HANDSHAKES: usize = 256;
