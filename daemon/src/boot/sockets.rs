//! Sockets that systemd passes (sd_listen_fds(3)), matched to listeners by address or by name.

use std::os::fd::OwnedFd;

use hsm::confine::fd;

use crate::config::Address;
use crate::http::{self, BindError, Socket};

/// What was passed and not taken yet, each with its name.
pub(super) struct Passed(Vec<(String, Socket)>);

impl Passed {
    /// Takes over what systemd passed to this process. To be called before anything else is opened.
    pub(super) fn take() -> Result<Self, BindError> {
        Self::adopt(fd::inherited())
    }

    fn adopt(inherited: Vec<(String, OwnedFd)>) -> Result<Self, BindError> {
        let adopt = |(name, descriptor): (String, OwnedFd)| match Socket::adopt(descriptor) {
            Ok(socket) => Ok((name, socket)),
            Err(error) => Err(BindError::new(Address::Passed(name), error)),
        };
        inherited.into_iter().map(adopt).collect::<Result<_, _>>().map(Self)
    }

    /// The socket for `address`: one that was passed, or a new one.
    pub(super) fn socket(&mut self, address: &Address) -> Result<Socket, BindError> {
        let fits = |(name, socket): &(String, Socket)| match address {
            Address::Passed(wanted) => name == wanted,
            _ => socket.address().is_some_and(|bound| covers(&bound, address)),
        };
        match self.0.iter().position(fits) {
            Some(at) => Ok(self.0.swap_remove(at).1),
            None => http::bind(address),
        }
    }

    /// Refuses a socket that no listener has taken: its clients would wait for ever.
    pub(super) fn finish(self) -> Result<(), BindError> {
        let Some((name, socket)) = self.0.first() else { return Ok(()) };
        let address = socket.address().unwrap_or(Address::Passed(name.clone()));
        let why = "systemd passes this socket, and no [[listener]] names it: add one, or take it out of signetd.socket";
        Err(BindError::new(address, why))
    }
}

/// Whether a socket that is bound to `bound` serves `wanted`: the same, or every address of IPv6, which
/// includes those of IPv4.
fn covers(bound: &Address, wanted: &Address) -> bool {
    match (bound, wanted) {
        (Address::Ip(bound), Address::Ip(wanted)) => {
            let all = bound.is_ipv6() && bound.ip().is_unspecified() && wanted.ip().is_unspecified();
            bound == wanted || all && bound.port() == wanted.port()
        }
        _ => bound == wanted,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[test]
    fn a_socket_is_found_by_address_and_by_name_and_none_is_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("health.sock");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(tcp.local_addr().unwrap());
        let named = TcpListener::bind("127.0.0.1:0").unwrap();
        let expected = Address::Ip(named.local_addr().unwrap());
        let inherited = vec![
            ("signetd.socket".to_owned(), tcp.into()),
            ("acme".to_owned(), named.into()),
            ("signetd.socket".to_owned(), UnixListener::bind(&path).unwrap().into()),
        ];
        let mut passed = Passed::adopt(inherited).unwrap();
        assert_eq!(passed.socket(&address).unwrap().address(), Some(address));
        let unix = Address::Unix(path);
        assert_eq!(passed.socket(&unix).unwrap().address(), Some(unix));
        let acme = Address::Passed("acme".to_owned());
        assert_eq!(passed.socket(&acme).unwrap().address(), Some(expected));
        assert!(passed.socket(&acme).is_err_and(|error| error.to_string().contains("passes none of that name")));
        assert!(passed.finish().is_ok());
    }

    #[test]
    fn what_no_listener_names_is_refused() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let passed = Passed::adopt(vec![("signetd.socket".to_owned(), tcp.into())]).unwrap();
        assert!(passed.finish().is_err_and(|error| error.to_string().contains("no [[listener]] names it")));
        let datagram = UnixDatagram::unbound().unwrap();
        let refused = Passed::adopt(vec![("x".to_owned(), datagram.into())]).err().unwrap().to_string();
        assert!(refused.contains("ListenStream="), "{refused}");
    }

    #[test]
    fn every_address_of_ipv6_is_every_address() {
        let address = |text: &str| Address::Ip(text.parse().unwrap());
        assert!(covers(&address("[::]:443"), &address("0.0.0.0:443")));
        assert!(!covers(&address("0.0.0.0:443"), &address("[::]:443")));
        assert!(!covers(&address("[::]:443"), &address("192.0.2.1:443")));
    }
}
