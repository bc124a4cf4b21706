//! A small ACME client (RFC 8555) for load, faults and benches: it tells every answer apart, and
//! costs little itself.

mod http;
mod jose;
pub mod load;
mod responder;
pub mod upki;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

pub use http::{Answer, Https};
pub use jose::SubjectKey;
use jose::{AccountKey, Signer, encode};
pub use responder::Responder;

/// Longest pause between two attempts, whatever Retry-After says: the load must go on.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What one client saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Answers 503 with Retry-After.
    pub unavailable: u64,
    /// Connections that ended before an answer.
    pub lost: u64,
    /// Nonces refused.
    pub bad_nonces: u64,
    /// Answers that are neither a success, nor 503, nor a refused nonce.
    pub wrong: Vec<String>,
}

/// A certificate as a client got it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The order's URL.
    pub order: String,
    /// The chain, DER, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// An ACME client with one account and one connection.
pub struct Client {
    https: Https,
    base: String,
    responder: Responder,
    directory: Value,
    key: AccountKey,
    account: Option<String>,
    nonce: Option<String>,
    patience: Duration,
    /// What it saw so far.
    pub seen: Seen,
}

/// What a client was told, when that is the end of its attempt.
pub type Failure = String;

/// Trust in the certificates of a PEM file, for TLS.
pub fn tls_config(roots: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let mut store = RootCertStore::empty();
    let file = CertificateDer::pem_file_iter(roots).map_err(|error| format!("{}: {error}", roots.display()))?;
    for certificate in file {
        let certificate = certificate.map_err(|error| format!("{}: {error}", roots.display()))?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}

/// The body of a newAccount or newOrder request, as some client would sign it.
pub fn example_jws(payload: &str) -> Vec<u8> {
    AccountKey::generate().jws(&Signer::Key, "https://ca.example.test/acme/new-account", "bm9uY2U", payload)
}

impl Client {
    /// A client of the directory at `directory`, which tries again for `patience` when the service
    /// is away, and no longer. Nothing is sent yet.
    pub fn new(
        directory: &str,
        tls: Arc<ClientConfig>,
        responder: Responder,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let rest = directory.strip_prefix("https://").ok_or("the directory is not an https URL")?;
        let authority = rest.split('/').next().unwrap_or_default();
        Ok(Self {
            https: Https::new(tls, authority).map_err(|error| error.to_string())?,
            base: format!("https://{authority}"),
            responder,
            directory: json!({ "self": directory }),
            key: AccountKey::generate(),
            account: None,
            nonce: None,
            patience,
            seen: Seen::default(),
        })
    }

    /// Fetches the directory and makes the account.
    pub fn register(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        let url = self.url("self")?;
        let directory = self.send(deadline, |client| client.plain("GET", &url))?;
        self.directory = directory.json();
        let url = self.url("newAccount")?;
        let answer = self.post(deadline, &url, &json!({ "termsOfServiceAgreed": true }).to_string())?;
        self.account = Some(location(&answer)?);
        Ok(())
    }

    /// Orders, proves and downloads a certificate for one name.
    pub fn obtain(&mut self, name: &str) -> Result<Issued, Failure> {
        let order = self.order(name)?;
        self.authorize(&order)?;
        self.finish(&order, &SubjectKey::generate().csr(name))
    }

    /// newOrder: the order's URL.
    pub fn order(&mut self, name: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + self.patience;
        let url = self.url("newOrder")?;
        let payload = json!({ "identifiers": [{ "type": "dns", "value": name }] }).to_string();
        location(&self.post(deadline, &url, &payload)?)
    }

    /// Proves every name of an order by http-01.
    pub fn authorize(&mut self, order: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        let order = self.post(deadline, order, "")?.json();
        for url in order["authorizations"].as_array().into_iter().flatten() {
            let url = url.as_str().unwrap_or_default();
            let authorization = self.post(deadline, url, "")?.json();
            if authorization["status"] == "valid" {
                continue;
            }
            let challenges = authorization["challenges"].as_array().cloned().unwrap_or_default();
            let challenge = challenges.iter().find(|challenge| challenge["type"] == "http-01");
            let challenge = challenge.ok_or_else(|| format!("no http-01 in {authorization}"))?;
            let token = challenge["token"].as_str().unwrap_or_default().to_owned();
            self.responder.offer(&token, self.key.key_authorization(&token));
            let result = self.prove(deadline, url, challenge["url"].as_str().unwrap_or_default());
            self.responder.withdraw(&token);
            result?;
        }
        Ok(())
    }

    fn prove(&mut self, deadline: Instant, authorization: &str, challenge: &str) -> Result<(), Failure> {
        self.post(deadline, challenge, "{}")?;
        self.poll(deadline, authorization, &["pending"], "valid").map(|_| ())
    }

    /// Finalizes an order whose names are proved, and downloads the chain.
    pub fn finish(&mut self, order: &str, csr: &[u8]) -> Result<Issued, Failure> {
        let deadline = Instant::now() + self.patience;
        let ready = self.poll(deadline, order, &["pending", "processing"], "ready")?;
        let finalize = ready["finalize"].as_str().unwrap_or_default().to_owned();
        if ready["status"] == "ready" {
            let payload = json!({ "csr": encode(csr) }).to_string();
            let lost = self.seen.lost + self.seen.unavailable;
            match self.post(deadline, &finalize, &payload) {
                // An earlier attempt, whose answer was lost, may have been the one that counted.
                Err(error) if lost != self.seen.lost + self.seen.unavailable && error.contains("orderNotReady") => {
                    self.seen.wrong.pop();
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        let valid = self.poll(deadline, order, &["ready", "processing"], "valid")?;
        let url = valid["certificate"].as_str().unwrap_or_default().to_owned();
        let chain = self.post(deadline, &url, "")?;
        let chain = CertificateDer::pem_slice_iter(&chain.body).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| format!("{url}: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{url}: no certificate"));
        }
        Ok(Issued { order: order.to_owned(), chain })
    }

    /// POST-as-GET until the object's status is `wanted` (or was already past it), as long as it is
    /// one of `before`.
    fn poll(&mut self, deadline: Instant, url: &str, before: &[&str], wanted: &str) -> Result<Value, Failure> {
        loop {
            let object = self.post(deadline, url, "")?.json();
            match object["status"].as_str().unwrap_or_default() {
                status if status == wanted => return Ok(object),
                "valid" => return Ok(object),
                status if before.contains(&status) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => return Err(format!("{url} did not become {wanted}: {object}")),
            }
        }
    }

    /// A signed POST; an empty payload makes it a POST-as-GET.
    pub fn post(&mut self, deadline: Instant, url: &str, payload: &str) -> Result<Answer, Failure> {
        self.send(deadline, |client| {
            let nonce = match client.nonce.take() {
                Some(nonce) => nonce,
                None => {
                    let url = client.url("newNonce").map_err(std::io::Error::other)?;
                    let answer = client.plain("HEAD", &url)?;
                    match answer.header("replay-nonce") {
                        Some(nonce) => nonce.to_owned(),
                        None => return Ok(answer),
                    }
                }
            };
            let signer = client.account.as_deref().map_or(Signer::Key, Signer::Account);
            let body = client.key.jws(&signer, url, &nonce, payload);
            let path = url.strip_prefix(&client.base).ok_or_else(|| std::io::Error::other("a foreign URL"))?;
            let answer = client.https.request("POST", path, Some("application/jose+json"), &body)?;
            client.nonce = answer.header("replay-nonce").map(str::to_owned);
            Ok(answer)
        })
    }

    fn plain(&mut self, method: &str, url: &str) -> std::io::Result<Answer> {
        let path = url.strip_prefix(&self.base).ok_or_else(|| std::io::Error::other("a foreign URL"))?;
        self.https.request(method, path, None, &[])
    }

    /// Tries until there is an answer that is neither a 503 nor a refused nonce, or the deadline.
    fn send(
        &mut self,
        deadline: Instant,
        mut attempt: impl FnMut(&mut Self) -> std::io::Result<Answer>,
    ) -> Result<Answer, Failure> {
        loop {
            let (pause, last) = match attempt(self) {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {
                    self.seen.unavailable += 1;
                    (LONGEST_PAUSE, answer.text())
                }
                Ok(answer) if answer.text().contains("urn:ietf:params:acme:error:badNonce") => {
                    self.seen.bad_nonces += 1;
                    (Duration::ZERO, answer.text())
                }
                Ok(answer) => {
                    let wrong = format!("{} {}", answer.status, answer.text());
                    self.seen.wrong.push(wrong.clone());
                    return Err(wrong);
                }
                Err(error) => {
                    self.seen.lost += 1;
                    self.https.close();
                    (Duration::from_millis(50), error.to_string())
                }
            };
            if Instant::now() + pause >= deadline {
                return Err(format!("no answer but: {last}"));
            }
            std::thread::sleep(pause);
        }
    }

    fn url(&self, name: &str) -> Result<String, Failure> {
        let url = self.directory[name].as_str();
        url.map(str::to_owned).ok_or_else(|| format!("the directory has no {name}: {}", self.directory))
    }
}

fn location(answer: &Answer) -> Result<String, Failure> {
    answer.header("location").map(str::to_owned).ok_or_else(|| format!("no Location: {}", answer.text()))
}
