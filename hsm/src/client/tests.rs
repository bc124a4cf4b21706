use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Barrier;

use nix::sys::socket::{Backlog, bind, listen};

use super::*;

/// A socket that a test answers by hand.
struct Signer {
    listener: UnixListener,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Signer {
    fn new(deadline: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signer.sock");
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&socket, Backlog::new(8).unwrap()).unwrap();
        Self { listener: socket.into(), client: Client::new(path, deadline), _folder: folder }
    }

    fn accept(&self) -> UnixStream {
        self.listener.accept().unwrap().0
    }
}

fn next(stream: &UnixStream) -> Call {
    let mut buffer = vec![0; MAX_FRAME];
    wire::decode(wire::receive(stream, &mut buffer, MsgFlags::empty()).unwrap()).unwrap()
}

fn answer(stream: &UnixStream, id: u64, result: Result<Response, Refusal>) {
    let mut frame = Vec::new();
    wire::encode(&Reply { id, result }, &mut frame).unwrap();
    wire::send(stream, &frame, MsgFlags::empty()).unwrap();
}

/// Sends and hands out the place where the answer will arrive.
fn send(client: &Client, epoch: Option<Epoch>) -> mpsc::Receiver<Result<Response, ClientError>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    client.send(epoch, Request::Status, move |result| sender.send(result).unwrap());
    receiver
}

/// Waits until the client is willing to connect again.
fn reconnected(client: &Client, old: Epoch) -> Epoch {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match client.epoch() {
            Ok(epoch) if epoch != old => return epoch,
            _ if Instant::now() > end => panic!("no new epoch"),
            _ => thread::yield_now(),
        }
    }
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let signer = Signer::new(Duration::from_secs(10));
    let answers: Vec<_> = (0..64).map(|_| send(&signer.client, None)).collect();
    let stream = signer.accept();
    let calls: Vec<Call> = (0..64).map(|_| next(&stream)).collect();
    for call in calls.iter().rev() {
        answer(&stream, call.id, Ok(Response::Recorded { seq: call.id }));
    }
    for (seq, receiver) in (0..).zip(answers) {
        assert_eq!(receiver.recv().unwrap(), Ok(Response::Recorded { seq }));
    }
}

#[test]
fn a_signer_that_goes_away_loses_what_is_in_flight_and_begins_the_next_epoch() {
    let signer = Signer::new(Duration::from_secs(10));
    let epoch = signer.client.epoch().unwrap();
    let answers: Vec<_> = (0..3).map(|_| send(&signer.client, Some(epoch))).collect();
    let stream = signer.accept();
    next(&stream);
    drop(stream);
    for receiver in answers {
        assert_eq!(receiver.recv().unwrap(), Err(ClientError::Lost));
    }
    let fresh = reconnected(&signer.client, epoch);
    assert!(fresh > epoch);
    assert_eq!(signer.client.call(Some(epoch), Request::Status), Err(ClientError::Epoch));
    let stream = signer.accept();
    let receiver = send(&signer.client, Some(fresh));
    answer(&stream, next(&stream).id, Err(Refusal::Sealed));
    assert_eq!(receiver.recv().unwrap(), Err(ClientError::Refused(Refusal::Sealed)));
}

#[test]
fn a_deadline_that_passes_ends_the_connection_for_everybody_in_flight() {
    let signer = Signer::new(Duration::from_millis(40));
    let answers: Vec<_> = (0..3).map(|_| send(&signer.client, None)).collect();
    let stream = signer.accept();
    for receiver in answers {
        assert_eq!(receiver.recv().unwrap(), Err(ClientError::Lost));
    }
    // The calls can still be read, then the end of the connection.
    let mut buffer = vec![0; MAX_FRAME];
    for _ in 0..3 {
        next(&stream);
    }
    assert_eq!(wire::receive(&stream, &mut buffer, MsgFlags::empty()), Err(FrameError::Closed));
}

#[test]
fn another_frame_version_is_named() {
    let signer = Signer::new(Duration::from_secs(10));
    let receiver = send(&signer.client, None);
    let stream = signer.accept();
    wire::send(&stream, &[wire::VERSION + 1, 0, 0], MsgFlags::empty()).unwrap();
    assert_eq!(receiver.recv().unwrap(), Err(ClientError::Version(wire::VERSION + 1)));
}

#[test]
fn a_signer_that_does_not_read_is_busy() {
    let signer = Signer::new(Duration::from_secs(10));
    let _stream = signer.client.epoch().map(|_| signer.accept()).unwrap();
    let request = || Request::Identify { statement: vec![0; MAX_FRAME / 2] };
    let (sender, receiver) = mpsc::channel();
    for _ in 0..100 {
        let sender = sender.clone();
        signer.client.send(None, request(), move |result| drop(sender.send(result)));
    }
    assert_eq!(receiver.recv().unwrap(), Err(ClientError::Refused(Refusal::Busy)));
}

#[test]
fn an_absent_signer_is_a_sentence_and_is_not_asked_too_often() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(folder.path().join("nobody.sock"), Duration::from_secs(1));
    let error = client.call(None, Request::Status).unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { why, .. } if why.contains("No such file")), "{error}");
    let error = client.call(None, Request::Status).unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { why, .. } if why.contains("a moment ago")), "{error}");
}

#[test]
fn many_threads_share_one_connection() {
    let signer = Signer::new(Duration::from_secs(10));
    let epoch = signer.client.epoch().unwrap();
    let stream = signer.accept();
    let barrier = Arc::new(Barrier::new(8));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, barrier) = (signer.client.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                for _ in 0..50 {
                    client.call(Some(epoch), Request::Status).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..400 {
        answer(&stream, next(&stream).id, Ok(Response::Unsealed));
    }
    for caller in callers {
        caller.join().unwrap();
    }
}
