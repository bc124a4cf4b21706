//! A DNS server for the rig: every name has the address 127.0.0.1, and nothing else.

use std::net::UdpSocket;

const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
/// QR, opcode 0, AA; RD is copied from the question.
const ANSWER: u8 = 0b1000_0100;
const RECURSION_AVAILABLE: u8 = 0b1000_0000;
/// Owner is the question's name (a pointer), type A, class IN, one minute, 127.0.0.1.
const LOOPBACK: [u8; 16] = [0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];

/// Answers until the process ends.
pub fn serve(socket: &UdpSocket) -> std::io::Result<()> {
    let mut question = [0u8; 512];
    loop {
        let (length, peer) = socket.recv_from(&mut question)?;
        if let Some(reply) = answer(&question[..length]) {
            // A resolver that went away asks again.
            let _ = socket.send_to(&reply, peer);
        }
    }
}

/// RFC 1035 section 4.1; `None` for what is not one plain question.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let question = message.get(HEADER..)?;
    let mut at = 0;
    while *question.get(at)? != 0 {
        at += 1 + usize::from(question[at]);
    }
    let question = question.get(..at + 5)?;
    let is_a = question[at + 1..at + 3] == TYPE_A;
    let mut reply = vec![message[0], message[1], ANSWER | (message[2] & 1), RECURSION_AVAILABLE];
    reply.extend([0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    reply.extend(question);
    if is_a {
        reply.extend(LOOPBACK);
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a.test`, class IN
    fn question(kind: u8) -> Vec<u8> {
        let mut message = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 4];
        message.extend(b"test\0");
        message.extend([0, kind, 0, 1]);
        message
    }

    #[test]
    fn every_name_has_the_loopback_address() {
        let reply = answer(&question(1)).expect("an answer");
        assert_eq!(reply[..4], [7, 8, 0x85, 0x80]);
        assert_eq!(reply[reply.len() - 4..], [127, 0, 0, 1]);
    }

    #[test]
    fn other_types_have_no_data() {
        let reply = answer(&question(28)).expect("an answer");
        assert_eq!(reply[6..8], [0, 0]);
        assert_eq!(reply.len(), question(28).len());
    }

    #[test]
    fn a_short_message_is_not_answered() {
        for length in 0..question(1).len() {
            assert_eq!(answer(&question(1)[..length]), None);
        }
    }
}
