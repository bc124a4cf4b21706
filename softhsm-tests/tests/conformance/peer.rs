//! A client that says exactly what it is told to, right or wrong, and reads answers strictly.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use softhsm_tests::acme::{Answer, Https};
use softhsm_tests::wait::wait_for;

use super::der::csr;
use super::jose::{Key, encode, flattened, sha256};
use super::world::World;

/// Longest wait for something that the server does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Media type of requests.
pub(crate) const JOSE: &str = "application/jose+json";

/// One client: a connection, a key, and an account if it has one.
pub(crate) struct Peer<'w> {
    pub(crate) world: &'w World,
    https: Https,
    pub(crate) key: Key,
    pub(crate) kid: Option<String>,
    nonce: Option<String>,
}

/// A certificate that was issued.
pub(crate) struct Issued {
    pub(crate) order: String,
    /// Its URL.
    pub(crate) certificate: String,
    pub(crate) key: Key,
    /// As it was served.
    pub(crate) pem: String,
    pub(crate) leaf: CertificateDer<'static>,
}

/// An order as it was answered.
pub(crate) struct Order {
    pub(crate) url: String,
    pub(crate) object: Value,
}

impl<'w> Peer<'w> {
    /// A client with a key and no account.
    pub(crate) fn stranger(world: &'w World, key: Key) -> Self {
        let https = Https::new(world.tls.clone(), world.authority()).expect("an address");
        Self { world, https, key, kid: None, nonce: None }
    }

    /// A client with an account.
    pub(crate) fn account(world: &'w World) -> Self {
        let mut peer = Self::stranger(world, Key::p256());
        peer.register(json!({}));
        peer
    }

    /// newAccount, with these members beside the agreement to the terms.
    pub(crate) fn register(&mut self, members: Value) -> Value {
        let mut payload = json!({"termsOfServiceAgreed": true});
        merge(&mut payload, members);
        let answer = self.post(&self.world.url("newAccount"), &payload);
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.kid = Some(answer.location());
        answer.json()
    }

    /// The account's URL.
    pub(crate) fn kid(&self) -> String {
        self.kid.clone().expect("an account")
    }

    /// A request without a JWS.
    pub(crate) fn plain(&mut self, method: &str, url: &str) -> Answer {
        self.with_headers(method, url, "", &[])
    }

    /// A request with these header lines beside Host, and a body if there is one.
    pub(crate) fn with_headers(&mut self, method: &str, url: &str, headers: &str, body: &[u8]) -> Answer {
        let mut head = headers.to_owned();
        if !headers.to_ascii_lowercase().contains("host:") {
            head = format!("Host: {}\r\n{head}", self.world.authority());
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let path = self.world.path(url);
        let answer = self.https.raw(method, &path, &head, body).expect("an answer");
        self.world.look_at(method, url, &answer);
        answer
    }

    /// A nonce that nobody has used.
    pub(crate) fn fresh_nonce(&mut self) -> String {
        let answer = self.plain("HEAD", &self.world.url("newNonce"));
        answer.header("replay-nonce").expect("Replay-Nonce").to_owned()
    }

    /// A request that is right, to be spoiled before it is sent.
    pub(crate) fn draft<'p>(&'p mut self, url: &str, payload: impl AsRef<[u8]>) -> Draft<'p, 'w> {
        let nonce = self.nonce.take().unwrap_or_else(|| self.fresh_nonce());
        let mut header = json!({"alg": self.key.algorithm(), "nonce": nonce, "url": url});
        match &self.kid {
            Some(kid) => header["kid"] = json!(kid),
            None => header["jwk"] = self.key.jwk(),
        }
        let payload = payload.as_ref().to_vec();
        Draft { url: url.to_owned(), header, payload, headers: format!("Content-Type: {JOSE}\r\n"), peer: self }
    }

    /// A signed request with a JSON payload.
    pub(crate) fn post(&mut self, url: &str, payload: &Value) -> Answer {
        self.draft(url, payload.to_string()).send()
    }

    /// The same, which must succeed: what was answered.
    #[track_caller]
    pub(crate) fn done(&mut self, url: &str, payload: &Value) -> Value {
        self.post(url, payload).ok()
    }

    /// POST-as-GET.
    pub(crate) fn fetch(&mut self, url: &str) -> Answer {
        self.draft(url, "").send()
    }

    /// POST-as-GET that must succeed.
    #[track_caller]
    pub(crate) fn read(&mut self, url: &str) -> Value {
        self.fetch(url).ok()
    }

    /// Reads until the object's status is one of `wanted`.
    #[track_caller]
    pub(crate) fn poll(&mut self, url: &str, wanted: &[&str]) -> Value {
        let mut last = Value::Null;
        let found = wait_for(&format!("{url} becomes {wanted:?}"), PATIENCE, || {
            last = self.read(url);
            wanted.contains(&last["status"].as_str()?).then(|| last.clone())
        });
        found.unwrap_or_else(|error| panic!("{error}: {last}"))
    }

    /// newOrder for names.
    #[track_caller]
    pub(crate) fn order(&mut self, names: &[&str]) -> Order {
        let answer = self.ask(names, json!({}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        Order { url: answer.location(), object: answer.json() }
    }

    /// newOrder, with further members, and the answer whatever it is. What is an address is asked for
    /// as one.
    pub(crate) fn ask(&mut self, names: &[&str], members: Value) -> Answer {
        let identifier = |name: &&str| {
            let kind = if name.parse::<IpAddr>().is_ok() { "ip" } else { "dns" };
            json!({"type": kind, "value": name})
        };
        let mut payload = json!({"identifiers": names.iter().map(identifier).collect::<Vec<_>>()});
        merge(&mut payload, members);
        self.post(&self.world.url("newOrder"), &payload)
    }

    /// Orders one name and answers its challenge of that type, once `prepare` has done what makes it
    /// succeed or fail. What the challenge came to.
    #[track_caller]
    pub(crate) fn attempt(&mut self, name: &str, kind: &str, prepare: impl FnOnce(&Self, &Value)) -> Value {
        let order = self.order(&[name]);
        let (_, authorization) = self.authorization(&order);
        self.answer(&challenge(&authorization, kind), prepare)
    }

    /// The same for a challenge that is there already.
    #[track_caller]
    pub(crate) fn answer(&mut self, one: &Value, prepare: impl FnOnce(&Self, &Value)) -> Value {
        prepare(self, one);
        let url = text(&one["url"]);
        self.done(&url, &json!({}));
        self.poll(&url, &["valid", "invalid"])
    }

    /// What a TXT record of dns-01 says for a challenge.
    pub(crate) fn digest(&self, one: &Value) -> String {
        encode(sha256(self.key_authorization(&text(&one["token"])).as_bytes()))
    }

    /// The only authorization of an order: its URL and what it says.
    #[track_caller]
    pub(crate) fn authorization(&mut self, order: &Order) -> (String, Value) {
        let urls = texts(&order.object["authorizations"]);
        assert_eq!(urls.len(), 1, "{}", order.object);
        let authorization = self.read(&urls[0]);
        (urls[0].clone(), authorization)
    }

    /// Offers the right answers to every http-01 challenge of an order, and waits for their success.
    #[track_caller]
    pub(crate) fn prove(&mut self, order: &Order) {
        for url in texts(&order.object["authorizations"]) {
            let authorization = self.read(&url);
            if authorization["status"] == "valid" {
                continue;
            }
            let challenge = challenge(&authorization, "http-01");
            let token = text(&challenge["token"]);
            self.world.http.offer(&token, self.key_authorization(&token));
            self.done(&text(&challenge["url"]), &json!({}));
            self.poll(&url, &["valid"]);
        }
    }

    /// RFC 8555 section 8.1.
    pub(crate) fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.key.thumbprint())
    }

    /// finalize with a CSR, and the answer whatever it is.
    pub(crate) fn finalize(&mut self, order: &Order, der: &[u8]) -> Answer {
        self.post(&text(&order.object["finalize"]), &json!({"csr": encode(der)}))
    }

    /// Everything from order to certificate.
    #[track_caller]
    pub(crate) fn issue(&mut self, names: &[&str]) -> Issued {
        let order = self.order(names);
        self.prove(&order);
        let key = Key::p256();
        self.finalize(&order, &csr(&key, names)).ok();
        self.download(order, key)
    }

    /// Waits for an order that was finalized, and reads its certificate.
    #[track_caller]
    pub(crate) fn download(&mut self, order: Order, key: Key) -> Issued {
        let valid = self.poll(&order.url, &["valid"]);
        let certificate = text(&valid["certificate"]);
        let answer = self.fetch(&certificate);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let leaf = CertificateDer::from_pem_slice(&answer.body).expect("a certificate in PEM");
        Issued { order: order.url, certificate, key, pem: answer.text(), leaf }
    }

    /// revokeCert as the account, and the answer whatever it is.
    pub(crate) fn revoke(&mut self, leaf: &CertificateDer<'_>, members: Value) -> Answer {
        let mut payload = json!({"certificate": encode(leaf)});
        merge(&mut payload, members);
        self.post(&self.world.url("revokeCert"), &payload)
    }
}

/// A request, before it is sent.
pub(crate) struct Draft<'p, 'w> {
    peer: &'p mut Peer<'w>,
    url: String,
    header: Value,
    payload: Vec<u8>,
    headers: String,
}

impl Draft<'_, '_> {
    /// Sets a member of the protected header.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.header[member] = value.into();
        self
    }

    /// Takes a member out of the protected header.
    pub(crate) fn without(mut self, member: &str) -> Self {
        if let Some(header) = self.header.as_object_mut() {
            header.remove(member);
        }
        self
    }

    /// Header lines instead of the Content-Type.
    pub(crate) fn headers(mut self, lines: &str) -> Self {
        self.headers = lines.to_owned();
        self
    }

    /// Sends it as it is.
    pub(crate) fn send(self) -> Answer {
        self.altered(|jws| jws.to_string().into_bytes())
    }

    /// Signs with another key than the peer's.
    pub(crate) fn signed_by(self, key: &Key) -> Answer {
        let body = flattened(&self.header, &self.payload, |message| key.sign(message)).to_string();
        self.raw(body.as_bytes())
    }

    /// Signs with whatever.
    pub(crate) fn signed(self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Answer {
        let body = flattened(&self.header, &self.payload, sign).to_string();
        self.raw(body.as_bytes())
    }

    /// Signs, and sends what `alter` makes of the JWS.
    pub(crate) fn altered(self, alter: impl FnOnce(Value) -> Vec<u8>) -> Answer {
        let jws = flattened(&self.header, &self.payload, |message| self.peer.key.sign(message));
        self.raw(&alter(jws))
    }

    /// Signs with the protected header written as `text`, for headers that no JSON writer makes.
    pub(crate) fn with_header_text(self, edit: impl FnOnce(String) -> Vec<u8>) -> Answer {
        let (protected, payload) = (encode(edit(self.header.to_string())), encode(&self.payload));
        let signature = self.peer.key.sign(format!("{protected}.{payload}").as_bytes());
        let body = json!({"protected": protected, "payload": payload, "signature": encode(signature)});
        self.raw(body.to_string().as_bytes())
    }

    fn raw(self, body: &[u8]) -> Answer {
        let answer = self.peer.with_headers("POST", &self.url, &self.headers, body);
        self.peer.nonce = answer.header("replay-nonce").map(str::to_owned);
        answer
    }
}

/// What tests ask of an answer.
pub(crate) trait Judged {
    /// It is a success; its JSON, or null if it has no body.
    fn ok(&self) -> Value;
    /// It is a problem document with that status and that ACME error type.
    fn problem(&self, status: u16, kind: &str) -> Value;
    /// It is a problem document that blames the client.
    fn refused(&self) -> Value;
    /// The Location header.
    fn location(&self) -> String;
    /// URLs of the Link headers with that relation.
    fn links(&self, relation: &str) -> Vec<String>;
}

impl Judged for Answer {
    #[track_caller]
    fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self.json()
    }

    #[track_caller]
    fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.refused();
        let expected = (status, format!("urn:ietf:params:acme:error:{kind}"));
        assert_eq!((self.status, text(&problem["type"])), expected, "{problem}");
        problem
    }

    #[track_caller]
    fn refused(&self) -> Value {
        assert!((400..500).contains(&self.status), "not refused: {} {}", self.status, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["type"].is_string(), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{problem}");
        assert!(problem.get("identifier").is_none(), "an identifier at the top of {problem}");
        problem
    }

    #[track_caller]
    fn location(&self) -> String {
        self.header("location").unwrap_or_else(|| panic!("no Location: {}", self.text())).to_owned()
    }

    fn links(&self, relation: &str) -> Vec<String> {
        let link = |value: &str| {
            let (url, parameters) = value.strip_prefix('<')?.split_once('>')?;
            let relation = format!("rel=\"{relation}\"");
            parameters.split(';').any(|parameter| parameter.trim() == relation).then(|| url.to_owned())
        };
        self.headers("link").flat_map(|value| value.split(", ")).filter_map(link).collect()
    }
}

/// A member that must be text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}

/// A member that must be a list of texts.
#[track_caller]
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(text).collect()
}

/// The challenge of that type.
#[track_caller]
pub(crate) fn challenge(authorization: &Value, kind: &str) -> Value {
    let challenges = authorization["challenges"].as_array().unwrap_or_else(|| panic!("no challenges: {authorization}"));
    let found = challenges.iter().find(|challenge| challenge["type"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {authorization}")).clone()
}

/// Certificates of a PEM file.
pub(crate) fn chain(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().expect("PEM")
}

/// The first certificate of a PEM file.
pub(crate) fn certificate(path: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(Path::new(path)).expect("a certificate")
}

fn merge(object: &mut Value, members: Value) {
    let members: Map<String, Value> = members.as_object().cloned().unwrap_or_default();
    for (name, value) in members {
        object[name] = value;
    }
}

/// A challenge that failed, with an error of that type whose words tell `what`.
#[track_caller]
pub(crate) fn assert_failed(challenge: &Value, kinds: &[&str], what: &[&str]) {
    assert_eq!(challenge["status"], "invalid", "{challenge}");
    let error = &challenge["error"];
    let found = text(&error["type"]);
    assert!(kinds.iter().any(|kind| found == format!("urn:ietf:params:acme:error:{kind}")), "{error}");
    let detail = text(&error["detail"]);
    for word in what {
        assert!(detail.contains(word), "{word:?} is not in {detail:?}");
    }
}
