//! Who is on the other end of a connection, as TLS proved it.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use policy::serial::Serial;
use policy::tbs::{Certificate, TbsError};
use policy::validity::Validity;

/// The other end of a connection. The HTTP layer puts an `Arc` of it into the extensions of each
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, or `unix`.
    pub from: String,
    /// The certificate it showed; its chain was verified, its end of life was not.
    pub certificate: Option<PeerCertificate>,
}

impl Peer {
    /// Its IP address, if it came over a network.
    pub fn address(&self) -> Option<IpAddr> {
        self.from.parse::<SocketAddr>().ok().map(|from| from.ip())
    }
}

/// What we need of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// Its serial number, if it is of our making.
    pub serial: Option<Serial>,
    /// When it is valid.
    pub validity: Validity,
}

impl PeerCertificate {
    /// Reads a certificate whose chain was verified.
    pub fn read(der: &[u8]) -> Result<Self, TbsError> {
        let certificate = Certificate::from_der(der)?;
        Ok(Self {
            fingerprint: hex(&certificate.sha256()),
            serial: Serial::from_slice(certificate.serial()).ok(),
            validity: certificate.validity(),
        })
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
