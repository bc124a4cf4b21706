//! From sockets to handlers: listeners, TLS, limits, request ids, the seal, panics.

mod connection;
mod linger;
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
#[cfg(test)]
pub(crate) use routes::surface_routes;
pub use routes::{Site, local, routes};

use crate::config::Limits;
use crate::service::Services;

/// One bound socket and what it serves.
pub struct Endpoint {
    /// Where connections come from.
    pub socket: Socket,
    /// TLS, or none.
    pub tls: Option<Arc<ServerConfig>>,
    /// What is served.
    pub site: Site,
}

/// What all connections share.
struct Shared {
    services: Arc<Services>,
    limits: Limits,
    /// One permit a handshake whose signature is waiting for the token.
    handshakes: Semaphore,
    stop: watch::Receiver<bool>,
    /// Time between two looks at whether the certificate of an open connection still counts.
    recheck: Duration,
}

/// Serves until `stop` turns true; then accepts nothing more, lets requests in flight finish for
/// at most [`GRACE`], and returns.
pub async fn serve(endpoints: Vec<Endpoint>, services: Arc<Services>, limits: Limits, stop: watch::Receiver<bool>) {
    let shared = Arc::new(Shared { services, handshakes: Semaphore::new(HANDSHAKES), limits, stop, recheck: RECHECK });
    let mut listeners = JoinSet::new();
    // One permit a connection. Each listener has its own, so that whoever fills one, the
    // administrators and the health of the others can still be reached.
    let mut connections = Vec::new();
    for endpoint in endpoints {
        let permits = Arc::new(Semaphore::new(shared.limits.connections));
        connections.push(Arc::clone(&permits));
        listeners.spawn(listener::accept(endpoint, permits, Arc::clone(&shared)));
    }
    while listeners.join_next().await.is_some() {}
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    let ended = async {
        for permits in &connections {
            // Nobody closes a semaphore.
            let _ = permits.acquire_many(all).await;
        }
    };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("some connections were still open at the end of the grace period and are cut");
    }
}

/// How long requests in flight may go on after the order to stop.
pub const GRACE: Duration = Duration::from_secs(20);

/// A request is judged when it comes; an answer that goes on, and a connection that stays open, ends so
/// long after its owner was removed or his certificate revoked.
const RECHECK: Duration = Duration::from_secs(20);

/// Handshakes in flight. Each may block a thread of tokio's pool (512 threads) while the token
/// signs, so this keeps the pool from running out.
const HANDSHAKES: usize = 256;
