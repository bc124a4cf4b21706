//! Free TCP and UDP ports on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the range from which Linux takes ports for outgoing connections, so that a port that is
/// free now is not taken by one a moment later.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A port that is free for TCP and UDP, drawn at random so that rigs that start side by side differ.
pub fn free() -> std::io::Result<u16> {
    for _ in 0..100 {
        let mut random = [0u8; 2];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| std::io::Error::other("no random bytes"))?;
        let port = FIRST + u16::from_be_bytes(random) % COUNT;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(std::io::Error::other("no free port on 127.0.0.1 was found"))
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}
