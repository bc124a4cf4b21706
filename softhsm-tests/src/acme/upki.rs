//! What uPKI's command line sends, request by request, from its description: a connection for each, plain
//! GETs where RFC 8555 has POST-as-GET, no challenge, and the account called by the thumbprint of its key.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::{Value, json};

use super::http::{Answer, Https};
use super::jose::{AccountKey, Signer, encode};
use super::{Failure, location};

/// One installation of the command line, with an account key of its own.
pub struct CommandLine {
    https: Https,
    base: String,
    key: AccountKey,
}

/// What `add` leaves: PEM.
pub struct Enrolled {
    /// The order's URL.
    pub order: String,
    /// The certificate, as it was downloaded.
    pub certificate: String,
}

impl CommandLine {
    /// Talks to the registration authority at `base`.
    pub fn new(base: &str, tls: Arc<ClientConfig>) -> Result<Self, Failure> {
        let authority = base.strip_prefix("https://").ok_or("not an https URL")?;
        let https = Https::new(tls, authority).map_err(|error| error.to_string())?;
        Ok(Self { https, base: base.to_owned(), key: AccountKey::generate() })
    }

    /// What it calls its account: the thumbprint of the key.
    pub fn account(&self) -> String {
        self.key.key_authorization("").trim_start_matches('.').to_owned()
    }

    /// The start of every command: the CA's certificate.
    pub fn ca(&mut self) -> Result<String, Failure> {
        let answer = self.get(&format!("{}/api/v1/ca", self.base))?;
        text(&answer.json()["data"]["certificate"])
    }

    /// `crl`
    pub fn crl(&mut self) -> Result<String, Failure> {
        let answer = self.get(&format!("{}/api/v1/crl", self.base))?;
        text(&answer.json()["data"]["crl"])
    }

    /// Opens the account.
    pub fn bootstrap(&mut self) -> Result<(), Failure> {
        let url = self.directory("newAccount")?;
        let answer = self.post(&url, &json!({"termsOfServiceAgreed": true}), &Signer::Key)?;
        match answer.status {
            200 | 201 => Ok(()),
            _ => Err(format!("Account creation failed: {} {}", answer.status, answer.text())),
        }
    }

    /// The order of `add`: its URL, and what it is.
    pub fn order(&mut self, name: &str, profile: &str) -> Result<(String, Value), Failure> {
        let url = self.directory("newOrder")?;
        let order = json!({"identifiers": [{"type": "dns", "value": name}], "profile": profile});
        let answer = self.post_as_account(&url, &order)?;
        match answer.status {
            200 | 201 => Ok((location(&answer)?, answer.json())),
            _ => Err(format!("new-order failed: {} {}", answer.status, answer.text())),
        }
    }

    /// `add`, to its end; the key stays in `directory`.
    pub fn add(&mut self, name: &str, profile: &str, directory: &Path) -> Result<Enrolled, Failure> {
        let (url, order) = self.order(name, profile)?;
        // It polls with plain GETs, and performs no challenge.
        let polled = self.get(&url)?.json();
        if !["ready", "valid"].iter().any(|good| order["status"] == *good && polled["status"] == *good) {
            return Err(format!("the order is {} and {}", order["status"], polled["status"]));
        }
        let csr = csr(name, directory)?;
        let finalize = text(&order["finalize"])?;
        let answer = self.post_as_account(&finalize, &json!({"csr": encode(csr)}))?;
        if answer.status != 200 {
            return Err(format!("finalize failed ({}): {}", answer.status, answer.text()));
        }
        let certificate = text(&answer.json()["certificate"])?;
        let downloaded = self.get(&certificate)?;
        Ok(Enrolled { order: url, certificate: text(&downloaded.json()["certificate"])? })
    }

    /// Revocation: base64url of the PEM text.
    pub fn revoke(&mut self, certificate: &str) -> Result<(), Failure> {
        let url = self.directory("revokeCert")?;
        let answer = self.post_as_account(&url, &json!({"certificate": encode(certificate), "reason": 4}))?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    }

    fn directory(&mut self, resource: &str) -> Result<String, Failure> {
        let answer = self.get(&format!("{}/acme/directory", self.base))?;
        text(&answer.json()[resource])
    }

    fn post_as_account(&mut self, url: &str, payload: &Value) -> Result<Answer, Failure> {
        let kid = format!("{}/acme/account/{}", self.base, self.account());
        self.post(url, payload, &Signer::Account(&kid))
    }

    fn post(&mut self, url: &str, payload: &Value, signer: &Signer<'_>) -> Result<Answer, Failure> {
        let nonce = self.directory("newNonce")?;
        let nonce = self.get(&nonce)?;
        let nonce = nonce.header("replay-nonce").ok_or("RA returned no Replay-Nonce header")?.to_owned();
        let body = self.key.jws(signer, url, &nonce, &payload.to_string());
        let headers = format!("Content-Type: application/jose+json\r\nContent-Length: {}\r\n", body.len());
        self.send("POST", url, &headers, &body)
    }

    fn get(&mut self, url: &str) -> Result<Answer, Failure> {
        let answer = self.send("GET", url, "", &[])?;
        match answer.status {
            200 | 204 => Ok(answer),
            status => Err(format!("{url}: {status} {}", answer.text())),
        }
    }

    fn send(&mut self, method: &str, url: &str, headers: &str, body: &[u8]) -> Result<Answer, Failure> {
        let path = url.strip_prefix(&self.base).ok_or_else(|| format!("{url} is not below {}", self.base))?;
        let host = self.base.trim_start_matches("https://");
        let headers = format!(
            "Host: {host}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: python-httpx/0.28.1\r\n{headers}"
        );
        let answer = self.https.raw(method, path, &headers, body).map_err(|error| format!("{url}: {error}"));
        self.https.close();
        answer
    }
}

/// A CSR for a name, DER, as the command line makes it: P-256, common name and alternative name.
pub fn csr(name: &str, directory: &Path) -> Result<Vec<u8>, Failure> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]);
    openssl.args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")]);
    openssl.args(["-keyout", &file("key.pem"), "-outform", "DER", "-out", &file("csr.der")]);
    let output = openssl.output().map_err(|error| format!("openssl: {error}"))?;
    match output.status.success() {
        true => std::fs::read(directory.join("csr.der")).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn text(value: &Value) -> Result<String, Failure> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("a text was expected, not {value}"))
}
