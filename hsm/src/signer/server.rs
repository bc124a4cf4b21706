//! The loop: threads that wait together for connections and requests.
//!
//! Each thread waits in the same epoll, receives one frame, gives the connection back, and does
//! what it was asked. No thread hands a request to another one unless the token is busy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::sockopt::{PeerCredentials, SndBuf};
use nix::sys::socket::{MsgFlags, getsockopt, setsockopt};
use zeroize::{Zeroize as _, Zeroizing};

use super::listen::Listener;
use crate::config::Peer;
use crate::wire::{self, Call, FrameError, MAX_FRAME, Refusal, Reply, Request, Response, SealedPaper};

/// Most connections of each kind of peer. `signetd` has one a signer.
const MOST_CONNECTIONS: usize = 16;

/// Most requests of one connection that have no answer yet.
const MOST_IN_FLIGHT: usize = 2048;

/// Most octets of one connection's requests that have no answer yet, and of its answers that wait
/// for it to read.
const MOST_OCTETS: usize = 4 * 1024 * 1024;

/// What a paper counts for among them: a few fit, because each is a descriptor and its contents are
/// kept in memory.
const PAPER: usize = MOST_OCTETS / 8;

/// How long a peer that left no room for an answer may go on not reading before its connection ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a new connection waits for what dead ones asked for. A call that takes longer than its
/// deadline ends the process before that.
const DRAIN: Duration = Duration::from_secs(30);

/// Marks of what is ready; below them are the numbers of connections.
const STOP: u64 = u64::MAX;
const SIGNAL: u64 = u64::MAX - 1;
const LISTENER: u64 = 1 << 63;

/// What the loop hands requests to.
pub(super) trait Service: Send + Sync {
    /// Answers one request, now or later, on this thread or another.
    /// `paper` came beside it.
    fn serve(self: &Arc<Self>, ticket: Ticket, request: Request, paper: Option<SealedPaper>);

    /// The process was asked to read its files again (SIGHUP).
    fn reload(&self);

    /// The process was asked to end.
    fn stop(&self);
}

/// Sockets, connections, and what wakes the threads.
pub(super) struct Server {
    epoll: Epoll,
    stop: EventFd,
    signals: SignalFd,
    listeners: Vec<Listener>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    /// One connection is taken in after the other, so that the next finds the one before it.
    admitting: Mutex<()>,
    /// Ended connections that are still owed an answer.
    leaving: Mutex<Vec<Arc<Connection>>>,
    drained: Arc<Drained>,
    next: AtomicU64,
    late: mpsc::Sender<Late>,
    /// For [`Server::deliver`].
    delivery: Mutex<mpsc::Receiver<Late>>,
}

/// An answer that its connection had no room for.
struct Late {
    ticket: Ticket,
    frame: Zeroizing<Vec<u8>>,
}

/// Rung when an ended connection is owed nothing more.
#[derive(Default)]
struct Drained {
    lock: Mutex<()>,
    bell: Condvar,
}

/// One peer.
struct Connection {
    stream: UnixStream,
    peer: Peer,
    in_flight: AtomicUsize,
    /// See [`MOST_OCTETS`].
    octets: AtomicUsize,
    /// Nothing more is read from it, though something may be there.
    ended: AtomicBool,
    drained: Arc<Drained>,
    late: mpsc::Sender<Late>,
}

/// The duty to answer one request.
pub(super) struct Ticket {
    connection: Arc<Connection>,
    id: u64,
    /// Its part of the connection's octets.
    octets: usize,
}

/// Signals that end the process in order, or have it read its files again. To be blocked before the first thread starts.
pub(super) fn signals() -> SigSet {
    SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM])
}

impl Server {
    pub(super) fn new(listeners: Vec<Listener>) -> nix::Result<Self> {
        let (late, delivery) = mpsc::channel();
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            stop: EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?,
            signals: SignalFd::with_flags(&signals(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            listeners,
            connections: Mutex::new(HashMap::new()),
            admitting: Mutex::new(()),
            leaving: Mutex::new(Vec::new()),
            drained: Arc::default(),
            next: AtomicU64::new(0),
            late,
            delivery: Mutex::new(delivery),
        })
    }

    /// Lets the waiting threads see connections and signals.
    pub(super) fn open(&self) -> nix::Result<()> {
        self.epoll.add(&self.signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNAL))?;
        for (index, listener) in (0..).zip(&self.listeners) {
            self.epoll.add(&listener.socket, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER | index))?;
        }
        Ok(())
    }

    /// Sends every thread home.
    pub(super) fn close(&self) -> nix::Result<()> {
        self.epoll.add(&self.stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        self.stop.write(1).map(drop)
    }

    /// One thread's life.
    pub(super) fn work<S: Service>(&self, service: &Arc<S>) {
        let mut buffer = vec![0; MAX_FRAME];
        let mut ready = [EpollEvent::empty()];
        loop {
            match self.epoll.wait(&mut ready, EpollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    tracing::error!(%errno, "the signer cannot wait for requests");
                    return service.stop();
                }
            }
            match ready[0].data() {
                STOP => return,
                SIGNAL => {
                    if let Ok(Some(signal)) = self.signals.read_signal() {
                        match signal.ssi_signo == Signal::SIGHUP as u32 {
                            true => service.reload(),
                            false => service.stop(),
                        }
                    }
                }
                mark if mark >= LISTENER => self.accept((mark & !LISTENER) as usize),
                number => self.receive(number, &mut buffer, service),
            }
        }
    }

    /// One thread's life: it waits for peers that do not read, so that nobody else does, the
    /// journal's thread least of all. It ends with the process.
    pub(super) fn deliver(&self) {
        let delivery = self.delivery.lock().unwrap_or_else(PoisonError::into_inner);
        for Late { ticket, frame } in delivery.iter() {
            if ticket.is_awaited()
                && let Err(error) = wire::send(&ticket.connection.stream, &frame, MsgFlags::empty())
            {
                ticket.unsent(error);
            }
        }
    }

    fn accept(&self, index: usize) {
        let Some(listener) = self.listeners.get(index) else { return };
        let _one = self.admitting.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = match listener.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return tracing::warn!(%error, "a connection could not be accepted"),
        };
        if let Err(why) = self.admit(stream, listener) {
            tracing::warn!(why, "a connection was refused");
        }
    }

    /// Takes a new connection in, or drops it.
    fn admit(&self, stream: UnixStream, listener: &Listener) -> Result<(), String> {
        let uid = getsockopt(&stream, PeerCredentials).map_err(|errno| errno.to_string())?.uid();
        if !listener.accepts(uid) {
            return Err(format!("its user is {uid}"));
        }
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        // A whole frame must fit the send buffer, even where the system's default is small.
        setsockopt(&stream, SndBuf, &(2 * MAX_FRAME)).map_err(|errno| errno.to_string())?;
        self.drain()?;
        let mut connections = self.connections();
        // Of each kind: a `signetd` that was taken over must not keep another signer from starting.
        if connections.values().filter(|one| one.peer == listener.peer).count() >= MOST_CONNECTIONS {
            return Err(format!("there are {MOST_CONNECTIONS} already"));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            stream,
            peer: listener.peer,
            in_flight: AtomicUsize::new(0),
            octets: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            drained: Arc::clone(&self.drained),
            late: self.late.clone(),
        });
        connections.insert(number, Arc::clone(&connection));
        // One thread at a time may receive from a connection; it says when the next one may.
        let added = self.epoll.add(&connection.stream, once(number));
        added.map_err(|errno| {
            connections.remove(&number);
            errno.to_string()
        })
    }

    /// Settles what dead peers asked for, before a new one is heard: it is in the journal by then, or
    /// it never will be. So whoever connects and reads the journal knows all that was signed for a
    /// `signetd` that was killed (J3), and does not have it signed again.
    fn drain(&self) -> Result<(), String> {
        for connection in self.connections().values().filter(|connection| connection.hung_up()) {
            connection.end();
            self.leave(connection);
        }
        let until = Instant::now() + DRAIN;
        let mut guard = self.drained.lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            leaving.retain(|connection| connection.in_flight.load(Ordering::SeqCst) > 0);
            if leaving.is_empty() {
                return Ok(());
            }
            drop(leaving);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("what the peer before it asked for is not done yet".to_owned());
            }
            guard = self.drained.bell.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Remembers an ended connection for as long as it is owed an answer.
    fn leave(&self, connection: &Arc<Connection>) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if !leaving.iter().any(|other| Arc::ptr_eq(other, connection)) {
            leaving.push(Arc::clone(connection));
        }
    }

    fn receive<S: Service>(&self, number: u64, buffer: &mut [u8], service: &Arc<S>) {
        let connection = self.connections().get(&number).map(Arc::clone);
        let Some(connection) = connection else { return };
        // Counted before it is known whether there is a request, and before `ended` is looked at:
        // `drain` looks in the other order, so none slips through.
        let in_flight = connection.in_flight.fetch_add(1, Ordering::SeqCst);
        let mut ticket = Ticket { connection: Arc::clone(&connection), id: 0, octets: 0 };
        let mut room = true;
        let received = match connection.ended.load(Ordering::SeqCst) {
            true => Err(FrameError::Closed),
            false => wire::receive_with(&connection.stream, buffer, MsgFlags::MSG_DONTWAIT),
        };
        let mut paper = None;
        let call = match received {
            Ok((frame, descriptor)) => {
                let beside = if descriptor.is_some() { PAPER } else { 0 };
                room = ticket.weigh(frame.len() + beside);
                let call = wire::decode::<Call>(frame);
                paper = descriptor.and_then(SealedPaper::from_peer);
                // From here on another thread may receive from this connection.
                let _ = self.epoll.modify(&connection.stream, &mut once(number));
                call
            }
            Err(FrameError::Io(Errno::EAGAIN)) => {
                let _ = self.epoll.modify(&connection.stream, &mut once(number));
                return;
            }
            Err(error) => Err(error),
        };
        match call {
            Ok(Call { id, request }) => {
                ticket.id = id;
                if matches!(request, Request::Encrypt { .. }) {
                    buffer.zeroize();
                }
                if in_flight >= MOST_IN_FLIGHT || !room {
                    return ticket.answer(Err(Refusal::Busy));
                }
                service.serve(ticket, request, paper);
            }
            Err(error) => {
                match error {
                    FrameError::Closed => {}
                    FrameError::Version(_) => {
                        tracing::warn!(%error, "a connection ends");
                        // Our own version, and nothing else, for the other end to report.
                        let _ = wire::send(&connection.stream, &[wire::VERSION], MsgFlags::MSG_DONTWAIT);
                    }
                    _ => tracing::warn!(%error, "a connection ends"),
                }
                connection.end();
                // Before it is forgotten: `drain` must find it in one place or the other.
                self.leave(&connection);
                self.connections().remove(&number);
                let _ = self.epoll.delete(&connection.stream);
            }
        }
    }

    /// Nobody panics while holding them.
    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn once(number: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, number)
}

impl Connection {
    /// Ends it for both sides; what was answered before can still be read.
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether the peer is gone, though its last requests may still wait to be read.
    fn hung_up(&self) -> bool {
        let mut look = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
        poll(&mut look, PollTimeout::ZERO).is_ok() && look[0].revents().is_some_and(|seen| seen.intersects(gone))
    }
}

impl Ticket {
    /// Who is on the other end.
    pub(super) fn peer(&self) -> Peer {
        self.connection.peer
    }

    /// Whether anybody will hear the answer. Nothing is begun for those who will not.
    pub(super) fn is_awaited(&self) -> bool {
        !self.connection.ended.load(Ordering::SeqCst)
    }

    /// Counts octets that are kept for this request until it is answered. Whether they are not too many.
    fn weigh(&mut self, octets: usize) -> bool {
        self.octets += octets;
        self.connection.octets.fetch_add(octets, Ordering::Relaxed) + octets <= MOST_OCTETS
    }

    /// Sends the answer, from any thread, without waiting. A peer that does not read gets it later, or
    /// loses its connection.
    pub(super) fn answer(mut self, result: Result<Response, Refusal>) {
        thread_local! {
            static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let forbidden = matches!(result, Err(Refusal::Forbidden(_)));
        let secret = matches!(result, Ok(Response::Secret(_)));
        if forbidden {
            // Before the peer hears of it: nothing that it sends after that is listened to.
            self.connection.ended.store(true, Ordering::SeqCst);
        }
        let sent = FRAME.with_borrow_mut(|frame| {
            if secret {
                // Never moved for want of room, so that no copy is left behind.
                frame.reserve(MAX_FRAME);
            }
            wire::encode(&Reply { id: self.id, result }, frame)?;
            let sent = match wire::send(&self.connection.stream, frame, MsgFlags::MSG_DONTWAIT) {
                Err(FrameError::Io(Errno::EAGAIN)) if !forbidden && self.weigh(frame.len()) => {
                    Ok(Some(Zeroizing::new(frame.clone())))
                }
                sent => sent.map(|()| None),
            };
            if secret {
                frame.zeroize();
            }
            sent
        });
        match sent {
            Ok(Some(frame)) => {
                let late = self.connection.late.clone();
                // Fails only once the server is gone, and then nobody is answered any more.
                drop(late.send(Late { ticket: self, frame }));
            }
            Ok(None) if forbidden => {
                tracing::warn!("a connection ends: it asked for what is not allowed");
                self.connection.end();
            }
            Ok(None) => {}
            Err(error) => self.unsent(error),
        }
    }

    fn unsent(&self, error: FrameError) {
        if error != FrameError::Closed {
            tracing::warn!(%error, "a connection ends: its answer could not be sent");
        }
        self.connection.end();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connection.octets.fetch_sub(self.octets, Ordering::Relaxed);
        let before = self.connection.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.connection.ended.load(Ordering::SeqCst) {
            let _held = self.connection.drained.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.connection.drained.bell.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::thread;

    use nix::sys::socket::sockopt::ReceiveTimeout;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use nix::sys::time::{TimeVal, TimeValLike};

    use super::*;
    use crate::config::Listen;

    /// Answers nothing for as long as it lives.
    #[derive(Default)]
    struct Holding(Mutex<Vec<Ticket>>);

    impl Service for Holding {
        fn serve(self: &Arc<Self>, ticket: Ticket, _request: Request, _paper: Option<SealedPaper>) {
            self.0.lock().unwrap().push(ticket);
        }

        fn reload(&self) {}

        fn stop(&self) {}
    }

    #[test]
    fn what_one_connection_asks_for_is_bounded_in_octets() {
        let folder = tempfile::tempdir().unwrap();
        let listen = Listen { path: folder.path().join("socket"), peer: Peer::Daemon, uid: None };
        let server = Arc::new(Server::new(vec![Listener::open(&listen, &mut Vec::new()).unwrap()]).unwrap());
        server.open().unwrap();
        let holding = Arc::new(Holding::default());
        let worker = thread::spawn({
            let (server, holding) = (Arc::clone(&server), Arc::clone(&holding));
            move || server.work(&holding)
        });
        let peer = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(peer.as_raw_fd(), &UnixAddr::new(&listen.path).unwrap()).unwrap();
        setsockopt(&peer, SndBuf, &(2 * MAX_FRAME)).unwrap();
        setsockopt(&peer, ReceiveTimeout, &TimeVal::seconds(10)).unwrap();
        let ask = |id| {
            let mut frame = Vec::new();
            let request = Request::Identify { statement: vec![0; MAX_FRAME - 64] };
            wire::encode(&Call { id, request }, &mut frame).unwrap();
            wire::send(&peer, &frame, MsgFlags::empty()).unwrap();
        };
        let hear = || {
            let mut buffer = vec![0; MAX_FRAME];
            wire::receive(&peer, &mut buffer, MsgFlags::empty()).and_then(wire::decode::<Reply>)
        };
        let fit = (MOST_OCTETS / (MAX_FRAME - 64)) as u64;
        (0..=fit).for_each(ask);
        assert_eq!(hear(), Ok(Reply { id: fit, result: Err(Refusal::Busy) }));
        // What is answered makes room again.
        holding.0.lock().unwrap().pop().unwrap().answer(Err(Refusal::Serial));
        assert_eq!(hear(), Ok(Reply { id: fit - 1, result: Err(Refusal::Serial) }));
        ask(fit + 1);
        ask(fit + 2);
        assert_eq!(hear(), Ok(Reply { id: fit + 2, result: Err(Refusal::Busy) }));
        server.close().unwrap();
        worker.join().unwrap();
    }
}
