//! TLS without trust, for redirects of http-01 to https and for tls-alpn-01.
//!
//! RFC 8555 section 8.3 begins over plain HTTP, so whoever could forge the certificate could have
//! forged the first answer; and a server that asks for its first certificate cannot show a good one.
//! For tls-alpn-01 the certificate is looked at after the handshake. That the server holds its key is
//! verified always.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;

use super::tls_alpn01::certificate::public_key;

/// The protocol of tls-alpn-01 in ALPN (RFC 8737 section 6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// A client that takes every certificate.
pub(super) fn unauthenticated() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(TakeAll(provider.clone()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A session that is resumed shows no certificate, and binds an attempt to an earlier one.
    config.resumption = Resumption::disabled();
    config
}

/// As [`unauthenticated`], and offers `acme-tls/1` alone.
pub(super) fn acme_tls() -> ClientConfig {
    let mut config = unauthenticated();
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config
}

#[derive(Debug)]
struct TakeAll(Arc<CryptoProvider>);

/// The key is taken out of the certificate here: a whole-certificate parser refuses the critical
/// extension of tls-alpn-01, which it does not know.
fn key_of(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let key = public_key(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(SubjectPublicKeyInfoDer::from(key))
}

impl ServerCertVerifier for TakeAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = self.0.signature_verification_algorithms.mapping;
        let (_, algorithms) = known
            .iter()
            .find(|(scheme, _)| *scheme == dss.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let key = key_of(cert)?;
        let key =
            RawPublicKeyEntity::try_from(&key).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        // In TLS 1.2 a scheme does not say which curve the key is on.
        match algorithms.iter().any(|known| key.verify_signature(*known, message, dss.signature()).is_ok()) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &key_of(cert)?, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
