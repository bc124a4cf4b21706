//! Answers http-01 (RFC 8555 section 8.3) for every client of one process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The key authorizations on offer. Cheap to clone; serves until the process ends.
#[derive(Clone, Default)]
pub struct Responder {
    offers: Arc<Mutex<HashMap<String, String>>>,
}

impl Responder {
    /// Listens on a port of loopback.
    pub fn start(port: u16) -> std::io::Result<Self> {
        let responder = Self::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let server = responder.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A validator that hangs up asks again.
                let _ = server.serve(stream);
            }
        });
        Ok(responder)
    }

    pub(super) fn offer(&self, token: &str, authorization: String) {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), authorization);
    }

    pub(super) fn withdraw(&self, token: &str) {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
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
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (status, body) = match offers.get(token) {
            Some(authorization) => ("200 OK", authorization.as_str()),
            None => ("404 Not Found", ""),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }
}
