//! A DNS server that answers as it is told: records, aliases, faults, signatures; over UDP and TCP.
//!
//! It answers as a recursive resolver does: an alias comes with what it leads to.

mod answer;
mod signed;
mod zone;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use answer::{Transport, answer};
pub use zone::Zone;

/// Where the records come from, looked at for every question.
#[derive(Clone)]
pub enum Source {
    /// A file in the form of [`Zone::parse`], for hooks and people; without one, every name is at
    /// 127.0.0.1.
    File(PathBuf),
    /// A test.
    Shared(Arc<Mutex<Zone>>),
}

/// A server for one test, on a free port of loopback. Its threads end with the process.
pub struct Server {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

/// Longest wait for the rest of a question over TCP.
const SILENCE: Duration = Duration::from_secs(5);

impl Server {
    /// A server with these lines.
    pub fn start(lines: &str) -> Self {
        let zone = Arc::new(Mutex::new(Zone::parse(lines).expect("a zone")));
        let (udp, tcp) = (0..16).find_map(|_| bind("127.0.0.1:0".parse().expect("an address")).ok()).expect("a port");
        let address = udp.local_addr().expect("its address");
        serve(Source::Shared(zone.clone()), udp, tcp);
        Self { address, zone }
    }

    /// More lines.
    pub fn add(&self, lines: &str) {
        self.change(|zone| zone.add(lines).expect("lines of a zone"));
    }

    /// Takes back all lines of a name.
    pub fn clear(&self, name: &str) {
        self.change(|zone| zone.clear(name));
    }

    /// Signs every answer below `apex` from now on; the DNSKEY record of its key.
    pub fn sign(&self, apex: &str) -> String {
        let mut record = String::new();
        self.change(|zone| record = zone.sign(apex));
        record
    }

    /// Questions so far: name in lower case, a space, type; with ` tcp` behind those over TCP.
    pub fn asked(&self) -> Vec<String> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Both sockets of one port.
pub fn bind(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(address)?;
    let tcp = TcpListener::bind(udp.local_addr()?)?;
    Ok((udp, tcp))
}

/// Answers until the process ends.
pub fn serve(source: Source, udp: UdpSocket, tcp: TcpListener) {
    let over_tcp = source.clone();
    std::thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut question) {
            if let Some(reply) = source.answer(&question[..length], Transport::Udp) {
                // A resolver that went away asks again.
                let _ = udp.send_to(&reply, peer);
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let source = over_tcp.clone();
            std::thread::spawn(move || converse(&source, stream));
        }
    });
}

/// RFC 1035 section 4.2.2: messages with their length before them, until the peer has enough.
fn converse(source: &Source, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        if let Some(reply) = source.answer(&question, Transport::Tcp) {
            let length = u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat())?;
        }
    }
}

impl Source {
    fn answer(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match self {
            Self::File(path) => {
                let lines = std::fs::read_to_string(path).unwrap_or_else(|_| DEFAULT.to_owned());
                match Zone::parse(&lines) {
                    Ok(mut zone) => answer(&mut zone, question, transport),
                    Err(error) => {
                        eprintln!("{}: {error}", path.display());
                        None
                    }
                }
            }
            Self::Shared(zone) => answer(&mut zone.lock().unwrap_or_else(PoisonError::into_inner), question, transport),
        }
    }
}

/// What a rig's resolver says before anybody tells it otherwise.
pub const DEFAULT: &str = "* A 127.0.0.1\n";
