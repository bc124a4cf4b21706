//! What a TLS key signs: messages that have the form of a TLS server's handshake, and nothing else.
//! So a `signetd` that was taken over gets no web token, OCSP answer or certificate of usual length
//! signed with it. A TLS 1.2 message has 128 octets and more that it may choose, enough for a CSR of
//! this very key: which it gains nothing by, because it may use the key for handshakes anyhow.

/// RFC 8446 section 4.4.3.
const CONTEXT_13: &[u8] = b"TLS 1.3, server CertificateVerify\0";

/// Named curves of RFC 8422 section 5.1.1 and the octets of a point on each, with the form that
/// points have: uncompressed, or Montgomery.
const CURVES: [(u16, usize); 3] = [(23, 65), (24, 97), (29, 32)];

/// Whether `message` is what a TLS server signs.
///
/// TLS 1.3: 64 spaces, the server's context string, a zero octet, and the transcript hash (SHA-256
/// or SHA-384). TLS 1.2 (RFC 8422 section 5.4): both randoms, which can be anything, and
/// ServerECDHParams to the last octet; finite-field groups are not signed for. The two forms do not
/// overlap: after 64 octets one goes on with `T`, the other with the curve type 3.
pub(super) fn is_server_handshake(message: &[u8]) -> bool {
    message.split_at_checked(64).is_some_and(|(head, rest)| {
        is_ecdh_parameters(rest) || (head.iter().all(|byte| *byte == b' ') && is_certificate_verify(rest))
    })
}

fn is_certificate_verify(rest: &[u8]) -> bool {
    rest.strip_prefix(CONTEXT_13).is_some_and(|hash| matches!(hash.len(), 32 | 48))
}

fn is_ecdh_parameters(rest: &[u8]) -> bool {
    let [3, high, low, length, point @ ..] = rest else { return false };
    let curve = u16::from_be_bytes([*high, *low]);
    CURVES.iter().any(|(known, octets)| *known == curve && *octets == point.len())
        && usize::from(*length) == point.len()
        && (curve == 29 || point[0] == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls13(hash: usize) -> Vec<u8> {
        [&[b' '; 64][..], CONTEXT_13, &vec![9; hash]].concat()
    }

    fn tls12(curve: u16, octets: usize, first: u8) -> Vec<u8> {
        let mut message = vec![7; 64];
        message.push(3);
        message.extend(curve.to_be_bytes());
        message.push(octets as u8);
        message.push(first);
        message.resize(message.len() + octets - 1, 5);
        message
    }

    #[test]
    fn both_versions_handshakes_are_recognised() {
        for message in [tls13(32), tls13(48), tls12(23, 65, 4), tls12(24, 97, 4), tls12(29, 32, 200)] {
            assert!(is_server_handshake(&message));
        }
    }

    #[test]
    fn anything_else_is_not() {
        let mut client = tls13(32);
        client[64 + 9..64 + 15].copy_from_slice(b"client");
        let mut randoms = tls13(32);
        randoms[3] = 0;
        let (mut longer, mut shorter) = (tls12(23, 65, 4), tls12(29, 32, 4));
        longer.push(0);
        shorter.pop();
        let certificate = [&[0x30, 0x82][..], &[0; 400]].concat();
        for message in [
            client,
            randoms,
            longer,
            shorter,
            certificate,
            tls13(20),
            tls13(33),
            tls12(23, 65, 2),
            tls12(22, 65, 4),
            tls12(23, 32, 4),
            Vec::new(),
            vec![b' '; 64],
        ] {
            assert!(!is_server_handshake(&message), "{message:02x?}");
        }
    }
}
