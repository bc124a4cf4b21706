//! TLS whose server key is in a token: each handshake's signature is asked from the TLS signer.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hsm::client::{Client, ClientError};
use hsm::wire::{Purpose, Refusal, Request, Response, Status};
use policy::effects::Clock;
use policy::key::{self, KeyAlgorithm, PublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureAlgorithm,
    SignatureScheme, version,
};
use tokio::sync::Semaphore;

use crate::config::{ClientCertificates, TlsVersion};
use crate::current::Current;

/// The TLS signer, and which of its keys is ours.
#[derive(Clone)]
pub struct TlsSigner {
    client: Client,
    label: String,
    /// Handshakes that may wait for a signature at a time.
    turns: Arc<Semaphore>,
    /// The public half that the server certificate is for.
    public: PublicKey,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates or rustls itself.
    #[error("TLS cannot be set up: {0}")]
    Config(String),
    /// The signer has another key under that label, or none, or one for another purpose.
    #[error("{0}")]
    Key(String),
    /// The signer did not answer.
    #[error(transparent)]
    Signer(#[from] ClientError),
}

impl TlsSigner {
    /// The key `label` of the signer behind `client`, which is to belong to `certificate`.
    pub fn new(client: Client, label: String, certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let wrong = |error: &dyn fmt::Display| TlsError::Config(format!("the server certificate: {error}"));
        let parsed = policy::tbs::Certificate::from_der(certificate).map_err(|error| wrong(&error))?;
        let public = parsed.key().map_err(|error| wrong(&error))?;
        Ok(Self { client, label, turns: Arc::new(Semaphore::new(MOST_WAITING)), public })
    }

    /// Whether `other` is for the same key.
    pub fn is_key_of(&self, other: &Self) -> bool {
        self.label == other.label && self.public.spki() == other.public.spki()
    }

    /// The same signer's key `label`, which is to belong to `certificate`.
    pub fn another(&self, label: String, certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        Ok(Self { turns: Arc::clone(&self.turns), ..Self::new(self.client.clone(), label, certificate)? })
    }

    /// Asks the signer how it is, and checks that it holds the certificate's key for TLS. Blocks.
    pub fn status(&self) -> Result<Status, TlsError> {
        let Response::Status(status) = self.client.call(None, Request::Status)? else {
            return Err(ClientError::Lost.into());
        };
        let label = &self.label;
        match status.keys.iter().find(|key| &key.label == label && key.purpose == Purpose::Tls) {
            Some(key) if key.spki == self.public.spki() => Ok(status),
            // The token was not there yet when the signer looked for its keys.
            Some(key) if key.spki.is_empty() => Ok(status),
            Some(_) => Err(TlsError::Key(format!(
                "the server certificate is not for the key `{label}` of the TLS signer: configure the chain that belongs to it"
            ))),
            None => Err(TlsError::Key(format!(
                "the TLS signer has no key `{label}` for TLS: name one of those in its configuration"
            ))),
        }
    }

    /// What rustls signs with.
    pub fn key(&self, chain: Vec<CertificateDer<'static>>) -> Arc<CertifiedKey> {
        Arc::new(CertifiedKey::new(chain, Arc::new(TokenKey { signer: self.clone() })))
    }
}

/// What a listener speaks.
pub struct Terms<'a> {
    /// Who is asked for a certificate.
    pub client_certificates: ClientCertificates,
    /// Oldest version.
    pub oldest: TlsVersion,
    /// CA certificates, DER, that a client's chain may end in.
    pub trusted: &'a [Vec<u8>],
}

/// The rustls configuration of one listener.
pub fn server_config(
    key: Current<CertifiedKey>,
    clock: Arc<dyn Clock>,
    terms: &Terms<'_>,
) -> Result<ServerConfig, TlsError> {
    let error = |error: &dyn fmt::Display| TlsError::Config(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[_] = match terms.oldest {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(clock)))
        .with_protocol_versions(versions)
        .map_err(|why| error(&why))?;
    let asks = terms.client_certificates != ClientCertificates::None;
    let builder = match asks {
        false => builder.with_no_client_auth(),
        true => builder.with_client_cert_verifier(client_verifier(provider, terms)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Presented(key)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if asks {
        // A resumed session would carry a certificate whose key was not proved again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// The chain that is shown to whoever connects now.
struct Presented(Current<CertifiedKey>);

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented")
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.now())
    }
}

fn client_verifier(provider: Arc<CryptoProvider>, terms: &Terms<'_>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for trusted in terms.trusted {
        roots.add(CertificateDer::from_slice(trusted)).map_err(|error| TlsError::Config(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match terms.client_certificates {
        ClientCertificates::Required => builder,
        ClientCertificates::None | ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    let strict = builder.build().map_err(|error| TlsError::Config(error.to_string()))?;
    Ok(Arc::new(ExpiredToo(strict)))
}

/// The key in the token.
struct TokenKey {
    signer: TlsSigner,
}

/// What keys of this kind sign in TLS, the best first.
fn schemes(algorithm: KeyAlgorithm) -> &'static [(SignatureScheme, key::SignatureScheme)] {
    match algorithm {
        KeyAlgorithm::Ed25519 => &[(SignatureScheme::ED25519, key::SignatureScheme::Ed25519)],
        KeyAlgorithm::P256 => &[(SignatureScheme::ECDSA_NISTP256_SHA256, key::SignatureScheme::EcdsaP256Sha256)],
        KeyAlgorithm::P384 => &[(SignatureScheme::ECDSA_NISTP384_SHA384, key::SignatureScheme::EcdsaP384Sha384)],
        // rustls offers PKCS #1 v1.5 in TLS 1.2 only.
        KeyAlgorithm::Rsa => &[
            (SignatureScheme::RSA_PSS_SHA256, key::SignatureScheme::RsaPssSha256),
            (SignatureScheme::RSA_PKCS1_SHA256, key::SignatureScheme::RsaPkcs1Sha256),
        ],
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.signer.label)
    }
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let (tls, token) =
            schemes(self.signer.public.algorithm()).iter().find(|(scheme, _)| offered.contains(scheme))?;
        Some(Box::new(Handshake { signer: self.signer.clone(), tls: *tls, token: *token }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.signer.public.algorithm() {
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
            KeyAlgorithm::P256 | KeyAlgorithm::P384 => SignatureAlgorithm::ECDSA,
            KeyAlgorithm::Rsa => SignatureAlgorithm::RSA,
        }
    }
}

/// Most handshakes that wait for the token. Each holds a thread; tokio makes 512 of them, and
/// without one to go on with the other connections would wait as well.
const MOST_WAITING: usize = 256;

/// One signature of one handshake.
struct Handshake {
    signer: TlsSigner,
    tls: SignatureScheme,
    token: key::SignatureScheme,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshake({}, {:?})", self.signer.label, self.tls)
    }
}

impl Handshake {
    /// Asks until the signer is there: one that systemd starts again is back in a moment, and a handshake may
    /// be signed twice. Blocks.
    fn ask(&self, message: &[u8]) -> Result<Response, ClientError> {
        let until = Instant::now() + BACK;
        loop {
            let (key, scheme, message) = (self.signer.label.clone(), self.token, message.to_vec());
            let error = match self.signer.client.call(None, Request::Handshake { key, scheme, message }) {
                Err(error) if may_pass(&error) => error,
                outcome => return outcome,
            };
            if Instant::now() + PAUSE >= until {
                return Err(error);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Whether it is the error of a signer that is starting.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Epoch | ClientError::Lost | ClientError::Unreachable { .. } => true,
        // It has not read its PIN yet.
        ClientError::Refused(refusal) => matches!(refusal, Refusal::Sealed),
        ClientError::Version(_) => false,
    }
}

/// How long a handshake waits for a signer that is away: longer than a restart takes, shorter than clients wait.
const BACK: Duration = Duration::from_secs(5);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

impl Signer for Handshake {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let Ok(_turn) = self.signer.turns.try_acquire() else {
            tracing::warn!("a handshake is refused: {MOST_WAITING} others wait for the TLS signer");
            return Err(Error::General("too many handshakes wait for the TLS signer".to_owned()));
        };
        // rustls wants the signature now: the runtime moves its other connections to other threads.
        match tokio::task::block_in_place(|| self.ask(message)) {
            Ok(Response::Signature(signature)) => Ok(signature),
            Ok(_) => Err(Error::General("the TLS signer answered something else".to_owned())),
            Err(error) => {
                tracing::warn!(%error, "a handshake got no signature");
                Err(Error::General(error.to_string()))
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.tls
    }
}

/// Verifies a chain as ever, but lets one pass whose only fault is its age: an administrator with
/// an expired certificate can see the status and unseal. The service layer refuses all else.
#[derive(Debug)]
struct ExpiredToo(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ExpiredToo {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        verify_or_expired(now, |time| self.0.verify_client_cert(end_entity, intermediates, time))
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Verifies now; if the chain has expired, verifies as of its last second. Each round reaches an
/// earlier end of validity, so the number of certificates bounds the rounds.
pub(crate) fn verify_or_expired<T>(now: UnixTime, verify: impl Fn(UnixTime) -> Result<T, Error>) -> Result<T, Error> {
    let mut time = now;
    for _ in 0..LONGEST_CHAIN {
        match verify(time) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) if not_after < time => {
                time = not_after;
            }
            verified => return verified,
        }
    }
    verify(time)
}

/// Certificates in a chain of ours: leaf, issuing, root, and one to spare.
const LONGEST_CHAIN: usize = 4;

/// Our clock as rustls wants it.
struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now().0)))
    }
}
