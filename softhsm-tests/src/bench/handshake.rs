//! CPU that a server spends on a TLS 1.3 handshake: with the token's key, and with one in software.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme, Stream,
};

use super::Line;
use super::process::cpu;
use crate::rig::{Failure, Rig};

const HANDSHAKES: u32 = 1500;

pub(super) fn lines(rig: &Rig) -> Result<Vec<Line>, Failure> {
    let address = rig.environment.get("SIGNET_PUBLIC_URL").trim_start_matches("https://").to_owned();
    let client = client()?;
    connect(&client, &address, 50)?;
    let services = ["signetd", "signer-tls"];
    let before = cpu(rig, &services);
    connect(&client, &address, HANDSHAKES)?;
    let token = (cpu(rig, &services) - before) / HANDSHAKES;
    let software = software(rig, &client)?;
    let ratio = token.as_secs_f64() / software.as_secs_f64();
    let measured = format!("{} µs, software {} µs: {ratio:.2} x", token.as_micros(), software.as_micros());
    Ok(vec![Line::new("server CPU of a TLS 1.3 handshake", measured, "<= 1.8 x a software key")])
}

/// The same handshakes with rustls alone, on one thread: the least that a server can spend.
fn software(rig: &Rig, client: &Arc<ClientConfig>) -> Result<Duration, Failure> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|error| error.to_string())?;
    let key = pair.to_pkcs8v1().map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(key.as_ref().to_vec().into());
    let key = sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    // The server's own chain, so that the bytes are as many; the client does not compare the keys.
    let chain =
        CertificateDer::pem_file_iter(rig.layout.certificate("tls-1.pem")).map_err(|error| error.to_string())?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let resolver = rustls::sign::SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    let server = std::thread::spawn(move || -> Result<Duration, Failure> {
        let before = thread_cpu()?;
        for _ in 0..HANDSHAKES {
            let (mut stream, _) = listener.accept().map_err(|error| error.to_string())?;
            let mut connection = ServerConnection::new(config.clone()).map_err(|error| error.to_string())?;
            let mut tls = Stream::new(&mut connection, &mut stream);
            let mut request = [0; 256];
            // The end of the request is not of interest.
            let _ = tls.read(&mut request).map_err(|error| error.to_string())?;
            tls.write_all(ANSWER).map_err(|error| error.to_string())?;
        }
        Ok((thread_cpu()? - before) / HANDSHAKES)
    });
    connect(client, &address, HANDSHAKES)?;
    server.join().map_err(|_| "the server panicked".to_owned())?
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// CPU that this thread has used.
fn thread_cpu() -> Result<Duration, Failure> {
    let path = Path::new("/proc/thread-self/schedstat");
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| format!("{}: {text}", path.display()))
}

/// Full handshakes, one after the other, each followed by one small request.
fn connect(config: &Arc<ClientConfig>, address: &str, count: u32) -> Result<(), Failure> {
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let name = ServerName::try_from("127.0.0.1").map_err(|error| error.to_string())?;
        let mut connection = ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())?;
        let mut tls = Stream::new(&mut connection, &mut stream);
        tls.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .map_err(|error| error.to_string())?;
        let mut answer = [0; 64];
        tls.read(&mut answer).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn client() -> Result<Arc<ClientConfig>, Failure> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider())))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

/// Trusts anyone: what is measured is the server.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // The software server has the chain of the token's key.
        let _ = verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
