//! Answers to challenges: a web server, a TLS server, and somebody else's DNS.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use instant_acme::{Identifier, KeyAuthorization};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Failure;

/// The servers, and what they show.
pub struct Answers {
    http: Arc<Mutex<HashMap<String, String>>>,
    tls: Arc<Certificates>,
    dns_hook: PathBuf,
    dns: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Certificates(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        lock(&self.0).get(hello.server_name()?).cloned()
    }
}

impl Answers {
    /// Listens on loopback until the program ends.
    pub async fn start(http_port: u16, tls_port: u16, dns_hook: &Path) -> Result<Self, Failure> {
        let http = Arc::<Mutex<HashMap<String, String>>>::default();
        let tls = Arc::<Certificates>::default();
        let (listener, shown) = (TcpListener::bind((Ipv4Addr::LOCALHOST, http_port)).await?, http.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A validator that hangs up asks again.
                let _ = serve_http(stream, &shown).await;
            }
        });
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(tls.clone());
        config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, tls_port)).await?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // RFC 8737 section 3: after the handshake there is nothing to say.
                tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
            }
        });
        Ok(Self { http, tls, dns_hook: dns_hook.to_owned(), dns: Vec::new() })
    }

    /// Shows what a challenge asks for.
    pub fn offer(
        &mut self,
        proof: &str,
        identifier: &Identifier,
        account: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<(), Failure> {
        let name = match identifier {
            Identifier::Dns(name) => name.clone(),
            Identifier::Ip(address) => address.to_string(),
            other => return Err(format!("{other:?} is not a name").into()),
        };
        match proof {
            "dns-01" => self.publish(format!("_acme-challenge.{name}"), authorization.dns_value()),
            "dns-account-01" => {
                self.publish(format!("{}._acme-challenge.{name}", account_label(account)), authorization.dns_value())
            }
            // The record is for all orders of the account; whoever runs this has written it.
            "dns-persist-01" => Ok(()),
            "http-01" => {
                lock(&self.http).insert(token.to_owned(), authorization.as_str().to_owned());
                Ok(())
            }
            "tls-alpn-01" => {
                let key = KeyPair::generate()?;
                let mut params = CertificateParams::new(vec![name])?;
                params.custom_extensions = vec![CustomExtension::new_acme_identifier(authorization.digest().as_ref())];
                let certificate = params.self_signed(&key)?;
                let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
                let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)?;
                let certified = CertifiedKey::new(vec![certificate.der().clone()], signer);
                lock(&self.tls.0).insert(server_name(identifier), Arc::new(certified));
                Ok(())
            }
            other => Err(format!("no answer to {other}").into()),
        }
    }

    /// Removes what was written into the DNS.
    pub fn withdraw(&mut self) -> Result<(), Failure> {
        let published = std::mem::take(&mut self.dns);
        published.into_iter().try_for_each(|(name, value)| self.hook("remove", &name, &value))
    }

    fn publish(&mut self, name: String, value: String) -> Result<(), Failure> {
        self.hook("add", &name, &value)?;
        self.dns.push((name, value));
        Ok(())
    }

    fn hook(&self, verb: &str, name: &str, value: &str) -> Result<(), Failure> {
        let status = Command::new(&self.dns_hook).args([verb, name, value]).status()?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.dns_hook.display()).into()) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// draft-ietf-acme-dns-account-label-03: the label is of the account's URL.
fn account_label(account: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, account.as_bytes());
    let bits = digest.as_ref()[..10].iter().fold(0u128, |bits, octet| (bits << 8) | u128::from(*octet));
    let digits =
        (0..16).rev().map(|digit| char::from(ALPHABET[usize::try_from((bits >> (5 * digit)) & 31).unwrap_or(0)]));
    std::iter::once('_').chain(digits).collect()
}

/// RFC 8738 section 6: an address is asked for under its name in reverse DNS.
fn server_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
        Identifier::Dns(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

async fn serve_http(mut stream: TcpStream, shown: &Mutex<HashMap<String, String>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut request).await? > 0 {}
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let found = path.strip_prefix("/.well-known/acme-challenge/").and_then(|token| lock(shown).get(token).cloned());
    let (status, body) = match found {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_the_drafts_example_is_the_drafts() {
        assert_eq!(account_label("https://example.com/acme/acct/ExampleAccount"), "_ujmmovf2vn55tgye");
    }
}
