//! tls-alpn-01 (RFC 8737, and RFC 8738 section 6 for addresses).
//!
//! Exactly what the standard says and nothing more (I2): the protocol `acme-tls/1` is negotiated and
//! no other, in TLS 1.2 or later, and the certificate is the one of [`certificate::check`]. Nothing
//! is sent over the connection.

pub mod certificate;

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use policy::name::{DnsName, Name};
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsConnector;

use super::connect::connect;
use super::failure::{excerpt, printable};
use super::tls::ACME_TLS;
use super::{Failure, FailureKind, Retry, Shown, Validator};

/// Names this validator in every authorization (I2): changed whenever what it accepts changes.
pub(super) const VERSION: &str = "tls-alpn-01/1";

/// One attempt.
pub(super) async fn validate(validator: &Validator, name: &Name, key_authorization: &str) -> Result<Shown, Failure> {
    let what = format!("tls-alpn-01 of {name}");
    let indication = server_name_indication(name);
    let server = ServerName::try_from(indication.clone()).map_err(|_| {
        Failure::new(FailureKind::Malformed, Retry::No, format!("{what}: {indication} cannot be asked for in TLS"))
    })?;
    let connected = connect(validator, name, validator.config.tls_alpn01_port, &what).await?;
    let seen = connected.observation();
    let address = connected.address;
    let fail = |kind, retry, why: String| Failure::new(kind, retry, format!("{what} at {address}: {why}"));
    let connector = TlsConnector::from(validator.acme_tls.clone());
    let mut stream = connector.connect(server, connected.stream).await.map_err(|error| {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let kind = if is_tls { FailureKind::Tls } else { FailureKind::Connection };
        let error = printable(&error.to_string(), 200);
        fail(kind, Retry::Yes, format!("the TLS handshake for \"{indication}\" with acme-tls/1 failed: {error}"))
    })?;
    let (_, session) = stream.get_ref();
    let negotiated = session.alpn_protocol().map(<[u8]>::to_vec);
    let shown = session.peer_certificates().and_then(|chain| chain.first()).map(|first| first.to_vec());
    // RFC 8737 section 3: the connection is closed after the handshake. Whether the peer hears of it
    // is its own affair.
    drop(stream.shutdown().await);
    if negotiated.as_deref() != Some(ACME_TLS) {
        let found = negotiated.map_or_else(|| "no protocol".to_owned(), |protocol| excerpt(&protocol));
        let detail = format!("the server chose {found} by ALPN, expected \"acme-tls/1\"");
        return Err(fail(FailureKind::Tls, Retry::No, detail));
    }
    let shown = shown.ok_or_else(|| fail(FailureKind::Tls, Retry::No, "the server showed no certificate".into()))?;
    certificate::check(&shown, name, digest(&SHA256, key_authorization.as_bytes()).as_ref())
        .map_err(|why| fail(FailureKind::IncorrectResponse, Retry::No, format!("the certificate is refused: {why}")))?;
    Ok(Shown { validator: VERSION, seen, until: None })
}

/// What goes into the server name indication: the name, or for an address its reverse name without
/// the dot at the end (RFC 8738 section 6, RFC 1034 section 3.6.2.1, RFC 3596 section 2.5).
fn server_name_indication(name: &Name) -> String {
    match name {
        Name::Dns(name) => DnsName::as_str(name).to_owned(),
        Name::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Name::Ip(IpAddr::V6(address)) => {
            let digits = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
