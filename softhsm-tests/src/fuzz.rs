//! Every parser that meets foreign bytes, as a function of bytes: what the fuzz targets call, and
//! what the replay of the corpus calls in an ordinary test run.
//!
//! Each function panics when a property does not hold; a panic in the parser is one of them.

mod acme;
mod revocation;
mod validation;

use std::path::{Path, PathBuf};

use daemon::api::acme::jws::{self, Signer};
use daemon::api::admin::profiles::Check;
use daemon::api::admin::unseal::{Challenge, UnsealBox};
use hsm::wire::{self, Actor, Call, Reply, Request, Response};
use policy::authority::AuthorityProfile;
use policy::csr::Csr;
use policy::name::Name;
use policy::profile::Profile;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::acme::{SubjectKey, example_jws};
use crate::rig::{Engine, Layout, Options, example_settings};

pub use acme::{acme_body, eab, jwk};
pub use revocation::{crl, ocsp_request, ocsp_response};
pub use validation::{acme_certificate, caa, dns_answer, dns_persist};

/// What a parser made of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are well-formed.
    Accepted,
    /// They are not.
    Refused,
}

/// One parser.
pub struct Target {
    /// Its name, which is that of the fuzz target and of its corpus.
    pub name: &'static str,
    /// The parser and its properties.
    pub check: fn(&[u8]) -> Verdict,
    /// Bytes that begin the corpus; all of them are well-formed.
    seeds: fn() -> Vec<Vec<u8>>,
}

/// Every parser.
pub const TARGETS: [Target; 16] = [
    Target { name: "acme_body", check: acme_body, seeds: acme::acme_body_seeds },
    Target { name: "acme_certificate", check: acme_certificate, seeds: validation::acme_certificate_seeds },
    Target { name: "caa", check: caa, seeds: validation::caa_seeds },
    Target { name: "config", check: config, seeds: config_seeds },
    Target { name: "crl", check: crl, seeds: revocation::crl_seeds },
    Target { name: "csr", check: csr, seeds: csr_seeds },
    Target { name: "dns_answer", check: dns_answer, seeds: validation::dns_answer_seeds },
    Target { name: "dns_persist", check: dns_persist, seeds: validation::dns_persist_seeds },
    Target { name: "eab", check: eab, seeds: acme::eab_seeds },
    Target { name: "frame", check: frame, seeds: frame_seeds },
    Target { name: "json", check: json, seeds: json_seeds },
    Target { name: "jwk", check: jwk, seeds: acme::jwk_seeds },
    Target { name: "jws", check: jws, seeds: jws_seeds },
    Target { name: "ocsp_request", check: ocsp_request, seeds: revocation::ocsp_request_seeds },
    Target { name: "ocsp_response", check: ocsp_response, seeds: revocation::ocsp_response_seeds },
    Target { name: "profile", check: profile, seeds: profile_seeds },
];

impl Target {
    /// Where its corpus lies in the tree.
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(self.name)
    }

    /// The seeds, each under the name of its file.
    pub fn seeds(&self) -> Vec<(String, Vec<u8>)> {
        let seeds = (self.seeds)().into_iter().enumerate();
        seeds.map(|(number, bytes)| (format!("seed-{number:02}"), bytes)).collect()
    }
}

/// Configuration files of both programs.
pub fn config(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else { return Verdict::Refused };
    let daemon = daemon::config::Config::from_toml("file.toml", text).map(|_| ()).map_err(|error| error.to_string());
    let signer = hsm::config::Config::from_toml("file.toml", text).map(|_| ()).map_err(|error| error.to_string());
    for refusal in [&daemon, &signer].into_iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_points_into(text, refusal);
    }
    verdict(daemon.is_ok() || signer.is_ok())
}

/// Certification requests.
pub fn csr(bytes: &[u8]) -> Verdict {
    let Ok(csr) = Csr::from_der(bytes) else { return Verdict::Refused };
    assert!(bytes.len() <= Csr::MAX_LEN);
    assert!(csr.names().is_sorted());
    for name in csr.names() {
        assert_eq!(Name::parse(&name.to_string()).as_ref(), Ok(name), "a name survives its own text");
    }
    Verdict::Accepted
}

/// Frames between the programs, in both directions.
pub fn frame(bytes: &[u8]) -> Verdict {
    let call = round_trip::<Call>(bytes);
    let reply = round_trip::<Reply>(bytes);
    verdict(call || reply)
}

/// JSON bodies of the admin surface.
pub fn json(bytes: &[u8]) -> Verdict {
    let known = serde_json::from_slice::<UnsealBox>(bytes).is_ok()
        || serde_json::from_slice::<Challenge>(bytes).is_ok()
        || serde_json::from_slice::<Check>(bytes).is_ok();
    verdict(known)
}

/// Bodies of ACME requests.
pub fn jws(bytes: &[u8]) -> Verdict {
    let Ok(jws) = jws::parse(bytes) else { return Verdict::Refused };
    if let Signer::Jwk(key) = &jws.signer {
        // Most signatures do not verify.
        let _ = jws.verify(key);
    }
    Verdict::Accepted
}

/// Profile files.
pub fn profile(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else { return Verdict::Refused };
    let read = match AuthorityProfile::from_toml("file.toml", text) {
        Some(profile) => profile.map(|profile| profile.name().to_owned()),
        None => Profile::from_toml("file.toml", text).map(|profile| profile.name().to_owned()),
    };
    match read {
        Ok(name) => assert_eq!(name, "file"),
        Err(refusal) => {
            assert_points_into(text, &refusal.to_string());
            return Verdict::Refused;
        }
    }
    Verdict::Accepted
}

fn verdict(accepted: bool) -> Verdict {
    if accepted { Verdict::Accepted } else { Verdict::Refused }
}

/// A refusal is one line that begins with the file and a line of it.
fn assert_points_into(text: &str, refusal: &str) {
    assert_eq!(refusal.lines().count(), 1, "{refusal:?}");
    let line = refusal.strip_prefix("file.toml:").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let line = line.unwrap_or_else(|| panic!("no line in {refusal:?}"));
    assert!((1..=text.split('\n').count()).contains(&line), "{refusal:?} points behind the file");
}

/// What was decoded is encoded to something that decodes to the same.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(message) = wire::decode::<T>(bytes) else { return false };
    let mut frame = Vec::new();
    wire::encode(&message, &mut frame).expect("what came in a frame fits a frame");
    assert_eq!(wire::decode::<T>(&frame).expect("our own frame"), message);
    true
}

fn config_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [Engine::Sqlite, Engine::Sled]
        .map(|engine| {
            let layout = Layout::example();
            let options = Options { engine: Some(engine), profile: Some("server".into()), ..Options::default() };
            example_settings(&layout, &options).into_bytes()
        })
        .into();
    seeds.push(SIGNER.as_bytes().to_vec());
    seeds
}

fn csr_seeds() -> Vec<Vec<u8>> {
    ["a.example.test", "*.example.test"].map(|name| SubjectKey::generate().csr(name)).into()
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let frame = |message: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = Vec::new();
        message(&mut frame);
        frame
    };
    let call = |request: Request| {
        frame(&|frame| wire::encode(&Call { id: 7, request: request.clone() }, frame).expect("a small frame"))
    };
    let reply = |response: Response| {
        frame(&|frame| wire::encode(&Reply { id: 7, result: Ok(response.clone()) }, frame).expect("a small frame"))
    };
    let actor = Actor { who: "console".into(), request_id: "1".into() };
    vec![
        call(Request::Status),
        call(Request::Challenge),
        call(Request::Seal { actor }),
        call(Request::Reserve { count: 16 }),
        call(Request::Journal { after: 3 }),
        reply(Response::Unsealed),
        reply(Response::Signature(vec![1, 2, 3])),
        reply(Response::Journal { lines: vec!["line".into()], last: 4 }),
    ]
}

fn json_seeds() -> Vec<Vec<u8>> {
    let boxed = UnsealBox { challenge: [7; 32], encapsulated: vec![1; 32], ciphertext: vec![2; 24] };
    let check = Check { file: "server.toml".into(), text: "version = 1".into() };
    let challenge = Challenge { challenge: [7; 32], statement: vec![1], identity_spki: vec![2], signature: vec![3] };
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("plain values have JSON");
    vec![json(serde_json::to_vec(&boxed)), json(serde_json::to_vec(&check)), json(serde_json::to_vec(&challenge))]
}

fn jws_seeds() -> Vec<Vec<u8>> {
    let order = r#"{"identifiers":[{"type":"dns","value":"a.example.test"}]}"#;
    vec![example_jws(order), example_jws("")]
}

fn profile_seeds() -> Vec<Vec<u8>> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/profiles");
    let files = std::fs::read_dir(files).into_iter().flatten().flatten();
    let mut seeds: Vec<(PathBuf, Vec<u8>)> =
        files.filter_map(|file| Some((file.path(), std::fs::read(file.path()).ok()?))).collect();
    seeds.sort();
    seeds.into_iter().map(|(_, text)| text).collect()
}

/// A signer's configuration.
const SIGNER: &str = r#"version = 1
name = "ca"
token = "pkcs11:token=signet-ca"
module = "/usr/lib/softhsm/libsofthsm2.so"
environment = { SOFTHSM2_CONF = "/etc/signet/softhsm-ca.conf" }
state = "/var/lib/signet-signer/ca"
profiles = "/etc/signet/profiles"
identity = "/run/signet/identity.sock"

[[listen]]
path = "/run/signet/ca.sock"
peer = "daemon"

[[key]]
label = "issuing-1"
purpose = "issue"
certificate = "/etc/signet/ca/issuing-1.pem"
"#;
