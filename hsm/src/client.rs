//! `signetd`'s handle on one signer: connects, reconnects, and keeps many requests in flight.
//!
//! No async runtime: a reader thread completes each request by calling its closure. A request goes
//! out on the thread that makes it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout, SndBuf};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, setsockopt, shutdown, socket,
};
use nix::sys::time::TimeVal;

use zeroize::{Zeroize as _, Zeroizing};

use crate::wire::{self, Call, FrameError, MAX_FRAME, Refusal, Reply, Request, Response, SealedPaper};

/// Shortest time between two attempts to connect: a signer that systemd starts again needs longer.
const BACKOFF: Duration = Duration::from_millis(50);

/// A handle on one signer. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    deadline: Duration,
    link: Mutex<Link>,
}

/// A request, and the paper that goes with it if it needs one ([`Request::Crl`]).
pub struct Parcel {
    request: Request,
    paper: Option<SealedPaper>,
}

impl Parcel {
    /// A request with its paper.
    pub fn with(request: Request, paper: SealedPaper) -> Self {
        Self { request, paper: Some(paper) }
    }
}

impl From<Request> for Parcel {
    fn from(request: Request) -> Self {
        Self { request, paper: None }
    }
}

/// One life of the connection. A request sent under an old epoch is not sent: whoever reconnects
/// must catch up with the journal first (J3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The signer cannot be reached.
    #[error("the signer at {path} cannot be reached: {why}")]
    Unreachable {
        /// Its socket.
        path: String,
        /// The system's words.
        why: String,
    },
    /// The connection ended, or the deadline passed (which ends the connection), while the request
    /// was in flight: whether it was done only the journal knows.
    #[error("the signer went away before it answered")]
    Lost,
    /// The epoch is over; nothing was sent.
    #[error("the signer was reconnected")]
    Epoch,
    /// The signer answered, and said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signer speaks another version of the frames.
    #[error("the signer speaks frame version {0}: install the same version of both programs")]
    Version(u8),
}

impl Client {
    /// A handle on the signer whose socket is at `path`. Connects at the first request. `deadline`
    /// is the longest wait for one answer.
    pub fn new(path: PathBuf, deadline: Duration) -> Self {
        let link = Mutex::new(Link { epoch: 0, connection: None, tried: None });
        Self { shared: Arc::new(Shared { path, deadline, link }) }
    }

    /// The current epoch; connects if need be.
    pub fn epoch(&self) -> Result<Epoch, ClientError> {
        self.shared.connection().map(|connection| connection.epoch)
    }

    /// Sends a request if `epoch` is still the current one (any, if `None`), and calls `done` once
    /// with what came of it, on another thread or on this one. Never blocks on a busy signer: a full
    /// socket is [`Refusal::Busy`].
    pub fn send(
        &self,
        epoch: Option<Epoch>,
        parcel: impl Into<Parcel>,
        done: impl FnOnce(Result<Response, ClientError>) + Send + 'static,
    ) {
        let connection = match self.shared.connection() {
            Ok(connection) if epoch.is_none_or(|epoch| epoch == connection.epoch) => connection,
            Ok(_) => return done(Err(ClientError::Epoch)),
            Err(error) => return done(Err(error)),
        };
        connection.send(parcel.into(), Instant::now() + self.shared.deadline, Box::new(done));
    }

    /// Sends a request and blocks until there is an answer.
    pub fn call(&self, epoch: Option<Epoch>, parcel: impl Into<Parcel>) -> Result<Response, ClientError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.send(epoch, parcel, move |result| drop(sender.send(result)));
        receiver.recv().unwrap_or(Err(ClientError::Lost))
    }
}

/// One request and its answer on a connection of its own, without a thread: for a program that has
/// not yet confined itself.
pub(crate) fn ask_once(path: &Path, request: Request, timeout: Duration) -> Result<Response, ClientError> {
    let socket = open(path, timeout).map_err(|why| unreachable(path, &why))?;
    let mut buffer = vec![0; MAX_FRAME];
    let lost = |error: FrameError| match error {
        FrameError::Version(version) => ClientError::Version(version),
        _ => ClientError::Lost,
    };
    let mut frame = Vec::new();
    wire::encode(&Call { id: 0, request }, &mut frame).map_err(lost)?;
    wire::send(&socket, &frame, MsgFlags::empty()).map_err(lost)?;
    let reply: Reply = wire::receive(&socket, &mut buffer, MsgFlags::empty()).and_then(wire::decode).map_err(lost)?;
    Ok(reply.result?)
}

fn unreachable(path: &Path, why: &io::Error) -> ClientError {
    ClientError::Unreachable { path: path.display().to_string(), why: why.to_string() }
}

/// Connects; sends and receives block for `timeout` at most.
fn open(path: &Path, timeout: Duration) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    let timeout = TimeVal::new(timeout.as_secs() as i64, timeout.subsec_micros().into());
    setsockopt(&socket, SendTimeout, &timeout)?;
    setsockopt(&socket, ReceiveTimeout, &timeout)?;
    // A packet must fit the send buffer whole; the system's default may have been made small.
    setsockopt(&socket, SndBuf, &(2 * MAX_FRAME))?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// The state of the handle: at most one connection at a time.
struct Link {
    epoch: u64,
    connection: Option<Arc<Connection>>,
    /// When it last tried to connect.
    tried: Option<Instant>,
}

impl Shared {
    /// The living connection, or a new one under the next epoch.
    fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        // Nobody panics while holding the link.
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &link.connection
            && connection.in_flight().end.is_none()
        {
            return Ok(Arc::clone(connection));
        }
        // What ended the last connection is the answer until a new one stands: another version
        // will not go away by asking again, but an upgrade may be under way.
        let ended = link.connection.take().and_then(|connection| connection.in_flight().end.clone());
        if link.tried.is_some_and(|tried| tried.elapsed() < BACKOFF) {
            link.connection = None;
            return Err(match ended {
                Some(ClientError::Version(version)) => ClientError::Version(version),
                _ => unreachable(&self.path, &io::Error::other("the connection was lost a moment ago")),
            });
        }
        link.tried = Some(Instant::now());
        // Short enough that a request past its deadline is noticed in time.
        let sweep = (self.deadline / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let socket = open(&self.path, sweep).map_err(|why| unreachable(&self.path, &why))?;
        link.epoch += 1;
        let connection = Arc::new(Connection {
            epoch: Epoch(link.epoch),
            socket,
            in_flight: Mutex::new(InFlight { next: 0, waiting: HashMap::new(), end: None }),
        });
        let reader = Arc::clone(&connection);
        thread::Builder::new()
            .name("signer-client".to_owned())
            .spawn(move || reader.read(sweep))
            .map_err(|why| unreachable(&self.path, &why))?;
        link.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &link.connection {
            connection.end(ClientError::Lost);
        }
    }
}

/// One connection, shared between the senders and its reader thread.
struct Connection {
    epoch: Epoch,
    socket: OwnedFd,
    in_flight: Mutex<InFlight>,
}

struct InFlight {
    /// Id of the next request.
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// Why the connection ended, once it has.
    end: Option<ClientError>,
}

struct Waiting {
    done: Done,
    until: Instant,
}

type Done = Box<dyn FnOnce(Result<Response, ClientError>) + Send>;

impl Connection {
    /// Nobody panics while holding it.
    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, Parcel { request, paper }: Parcel, until: Instant, done: Done) {
        let id = {
            let mut in_flight = self.in_flight();
            if in_flight.end.is_some() {
                drop(in_flight);
                return done(Err(ClientError::Epoch));
            }
            let id = in_flight.next;
            in_flight.next += 1;
            in_flight.waiting.insert(id, Waiting { done, until });
            id
        };
        let secret = if let Request::Encrypt { secret, .. } = &request { secret.0.len() } else { 0 };
        // Never moved for want of room, so that no copy of a secret is left behind.
        let mut frame = Zeroizing::new(Vec::with_capacity(1024 + secret));
        let sent = wire::encode(&Call { id, request }, &mut frame).and_then(|()| match &paper {
            Some(paper) => wire::send_with(&self.socket, &frame, paper.as_fd(), MsgFlags::MSG_DONTWAIT),
            None => wire::send(&self.socket, &frame, MsgFlags::MSG_DONTWAIT),
        });
        let refusal = match sent {
            Ok(()) => return,
            Err(FrameError::Io(Errno::EAGAIN)) => Refusal::Busy,
            Err(FrameError::TooLarge) => Refusal::Forbidden(FrameError::TooLarge.to_string()),
            Err(_) => return self.end(ClientError::Lost),
        };
        self.complete(id, Err(refusal.into()));
    }

    /// The reader thread: until the connection ends.
    fn read(&self, sweep: Duration) {
        let mut buffer = vec![0; MAX_FRAME];
        let mut swept = Instant::now();
        let end = loop {
            match wire::receive(&self.socket, &mut buffer, MsgFlags::empty()).and_then(wire::decode::<Reply>) {
                Ok(Reply { id, result }) => {
                    if matches!(result, Ok(Response::Secret(_))) {
                        buffer.as_mut_slice().zeroize();
                    }
                    self.complete(id, result.map_err(ClientError::from));
                }
                Err(FrameError::Io(Errno::EAGAIN)) => {}
                Err(FrameError::Version(version)) => break ClientError::Version(version),
                Err(_) => break ClientError::Lost,
            }
            // The clock is looked at when nothing comes, and now and then when much comes.
            if swept.elapsed() >= sweep {
                swept = Instant::now();
                if self.in_flight().waiting.values().any(|waiting| waiting.until <= swept) {
                    tracing::warn!("a signer's answer is overdue: the connection is given up");
                    break ClientError::Lost;
                }
            }
        };
        self.end(end);
    }

    fn complete(&self, id: u64, result: Result<Response, ClientError>) {
        let waiting = self.in_flight().waiting.remove(&id);
        if let Some(waiting) = waiting {
            (waiting.done)(result);
        }
    }

    /// Ends the connection, if it has not ended; everybody in flight hears why.
    fn end(&self, why: ClientError) {
        let waiting = {
            let mut in_flight = self.in_flight();
            in_flight.end.get_or_insert_with(|| why.clone());
            std::mem::take(&mut in_flight.waiting)
        };
        // The reader thread wakes up and leaves. The other end may have closed first: no matter.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        for waiting in waiting.into_values() {
            (waiting.done)(Err(why.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
