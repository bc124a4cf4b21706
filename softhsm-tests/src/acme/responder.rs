//! Answers http-01 (RFC 8555 section 8.3) for every client of one process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The key authorizations on offer. Cheap to clone; the port is free again when the last clone is
/// dropped.
#[derive(Clone)]
pub struct Responder(Arc<Server>);

struct Server {
    offers: Arc<Offers>,
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

type Offers = Mutex<HashMap<String, String>>;

impl Responder {
    /// Listens on a port of loopback.
    pub fn start(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let offers = Arc::<Offers>::default();
        let stop = Arc::<AtomicBool>::default();
        let (server_offers, server_stop) = (offers.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server_stop.load(Ordering::Relaxed) {
                    return;
                }
                // A validator that hangs up asks again.
                let _ = serve(&server_offers, stream);
            }
        });
        Ok(Self(Arc::new(Server { offers, port, stop, thread: Some(thread) })))
    }

    pub(super) fn offer(&self, token: &str, authorization: String) {
        lock(&self.0.offers).insert(token.to_owned(), authorization);
    }

    pub(super) fn withdraw(&self, token: &str) {
        lock(&self.0.offers).remove(token);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread; if it does not listen any more it needs no waking.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(offers: &Offers) -> MutexGuard<'_, HashMap<String, String>> {
    offers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(offers: &Offers, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
    let offer = lock(offers).get(token).cloned();
    let (status, body) = match &offer {
        Some(authorization) => ("200 OK", authorization.as_str()),
        None => ("404 Not Found", ""),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
