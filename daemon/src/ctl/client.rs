//! One request to the admin surface, over TLS with the administrator's certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::CtlError;
use super::identity::Identity;
use crate::problem::SEALED;
use crate::tls::verify_or_expired;

/// A client of one appliance.
pub(super) struct Client {
    url: Uri,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pinned: bool,
}

/// What to do when only its age speaks against the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnExpired {
    /// Say so and go on, if the profile holds the appliance's identity: for `status` and `unseal`,
    /// so that nobody is locked out. The PIN does not depend on it: it is encrypted to the identity.
    Accept,
    /// Refuse.
    Refuse,
}

impl Client {
    pub(super) fn new(identity: &Identity) -> Result<Self, CtlError> {
        let wrong = |path: &std::path::Path, why: &dyn std::fmt::Display| {
            CtlError::Failed(format!("{}: {why}", path.display()))
        };
        let read = |path: &std::path::Path| -> Result<Vec<_>, CtlError> {
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match certificates {
                Ok(certificates) if certificates.is_empty() => Err(wrong(path, &"the file holds no certificate")),
                Ok(certificates) => Ok(certificates),
                Err(error) => Err(wrong(path, &error)),
            }
        };
        let mut roots = RootCertStore::empty();
        for root in read(&identity.ca)? {
            roots.add(root).map_err(|error| wrong(&identity.ca, &error))?;
        }
        Ok(Self {
            pinned: identity.pinned.is_some(),
            url: identity.url.clone(),
            roots: Arc::new(roots),
            chain: read(&identity.certificate)?,
            key: PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| wrong(&identity.key, &error))?,
        })
    }

    /// Asks for `path` and reads JSON.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, on_expired: OnExpired) -> Result<T, CtlError> {
        parse(&self.send(Method::GET, path, None, on_expired)?)
    }

    /// Posts nothing and reads JSON.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str, on_expired: OnExpired) -> Result<T, CtlError> {
        parse(&self.send(Method::POST, path, None, on_expired)?)
    }

    /// Posts JSON and reads JSON.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        on_expired: OnExpired,
    ) -> Result<T, CtlError> {
        parse(&self.send(Method::POST, path, Some(written(body)?), on_expired)?)
    }

    /// Sends JSON, or nothing, in any way, and reads JSON.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        on_expired: OnExpired,
    ) -> Result<T, CtlError> {
        parse(&self.send(method, path, body.map(written).transpose()?, on_expired)?)
    }

    /// Does something that has no answer but that it is done.
    pub(super) fn act(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        on_expired: OnExpired,
    ) -> Result<(), CtlError> {
        self.send(method, path, body.map(written).transpose()?, on_expired).map(drop)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        on_expired: OnExpired,
    ) -> Result<Vec<u8>, CtlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CtlError::Failed(format!("no runtime: {error}")))?;
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(method, path, body, on_expired)).await };
        let answered = runtime.block_on(exchange);
        answered.unwrap_or_else(|_| Err(self.unreachable(&"it did not answer in time")))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        on_expired: OnExpired,
    ) -> Result<Vec<u8>, CtlError> {
        let host = self.url.host().unwrap_or_default();
        let port = self.url.port_u16().unwrap_or(443);
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, port)).await.map_err(|error| self.unreachable(&error))?;
        let server = ServerName::try_from(name.to_owned()).map_err(|error| self.unreachable(&error))?;
        let (config, expired) = self.config(on_expired)?;
        let connected = TlsConnector::from(Arc::new(config)).connect(server, stream).await;
        let stream = connected.map_err(|error| self.unreachable(&error))?;
        if expired.load(Ordering::Relaxed) {
            eprintln!("signetctl: warning: the appliance's TLS certificate has expired: renew it");
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        let driver = tokio::spawn(connection);
        let authority = self.url.authority().map_or(host, |authority| authority.as_str());
        let mut request = Request::builder().method(method).uri(path).header(HOST, authority);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|error| CtlError::Failed(format!("`{path}` cannot be asked for: {error}")))?;
        let response = sender.send_request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        let body = body.map_err(|error| self.unreachable(&error))?.to_bytes();
        driver.abort();
        if status.is_success() { Ok(body.to_vec()) } else { Err(refusal(status, &body)) }
    }

    fn config(&self, on_expired: OnExpired) -> Result<(ClientConfig, Arc<AtomicBool>), CtlError> {
        let wrong = |error: &dyn std::fmt::Display| CtlError::Failed(format!("TLS cannot be set up: {error}"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let strict = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(&error))?;
        let expired = Arc::new(AtomicBool::new(false));
        let on_expired = if self.pinned { on_expired } else { OnExpired::Refuse };
        let verifier = Verifier { strict, on_expired, expired: Arc::clone(&expired) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| wrong(&error))?;
        Ok((config, expired))
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> CtlError {
        CtlError::Unreachable(format!("{} cannot be reached: {why}", self.url))
    }
}

/// `path` with the fields of `parameters` that are set as its query.
pub(super) fn with_query(path: &str, parameters: &impl Serialize) -> Result<String, CtlError> {
    use std::fmt::Write as _;
    let wrong = |error: &dyn std::fmt::Display| CtlError::Failed(format!("the request cannot be written: {error}"));
    let fields = serde_json::to_value(parameters).map_err(|error| wrong(&error))?;
    let mut text = path.to_owned();
    let mut separator = '?';
    for (field, value) in fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(text, "{separator}{field}=").map_err(|error| wrong(&error))?;
        separator = '&';
        for octet in value.bytes() {
            match octet.is_ascii_alphanumeric() || b"-_.".contains(&octet) {
                true => text.push(char::from(octet)),
                false => write!(text, "%{octet:02X}").map_err(|error| wrong(&error))?,
            }
        }
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CtlError> {
    serde_json::from_slice(body).map_err(|error| {
        CtlError::Failed(format!("the answer is not understood ({error}): install the version that the appliance has"))
    })
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, CtlError> {
    serde_json::to_vec(body).map_err(|error| CtlError::Failed(format!("the request cannot be written: {error}")))
}

/// A problem document as an error.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> CtlError {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    let detail = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => format!("the appliance answered {status}"),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CtlError::Refused(detail),
        StatusCode::NOT_FOUND => CtlError::Missing(detail),
        StatusCode::SERVICE_UNAVAILABLE if detail.contains(SEALED) => CtlError::Sealed(detail),
        _ => CtlError::Failed(detail),
    }
}

/// Verifies the server as ever; if it may, lets a chain pass whose only fault is its age.
#[derive(Debug)]
struct Verifier {
    strict: Arc<WebPkiServerVerifier>,
    on_expired: OnExpired,
    expired: Arc<AtomicBool>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |time| self.strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, time);
        match (verify(now), self.on_expired) {
            (Err(_), OnExpired::Accept) => {
                let verified = verify_or_expired(now, verify)?;
                self.expired.store(true, Ordering::Relaxed);
                Ok(verified)
            }
            (verified, _) => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

/// Longest wait for one answer: longer than a token that is slow to log in.
const PATIENCE: Duration = Duration::from_secs(60);

/// Largest answer.
const MOST: usize = 16 << 20;
