//! The admin surface, spoken over mutual TLS as the rig's administrator, for tests that need more
//! than signetctl shows.

use std::path::Path;
use std::sync::Arc;

use daemon::api::admin::unseal::{Challenge, UnsealBox};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;

use crate::acme::{Answer, Https};
use crate::rig::Environment;

/// The rig's administrator.
pub struct Admin {
    https: Https,
}

impl Admin {
    /// The administrator of a rig; panics if the rig's files cannot be read.
    pub fn new(environment: &Environment) -> Self {
        let path = |name| Path::new(environment.get(name));
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(path("SIGNET_CA_FILE")).expect("the root certificate");
        roots.add(root).expect("a root certificate");
        let chain = CertificateDer::pem_file_iter(path("SIGNET_ADMIN_CERT")).expect("the administrator's certificate");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_file(path("SIGNET_ADMIN_KEY")).expect("the administrator's key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("TLS versions").with_root_certificates(roots);
        let config = config.with_client_auth_cert(chain, key).expect("a certificate and its key");
        let authority = environment.get("SIGNET_ADMIN_URL").strip_prefix("https://").expect("an https URL");
        Self { https: Https::new(Arc::new(config), authority).expect("an address") }
    }

    /// `GET` below `/admin/v1/`.
    pub fn get(&mut self, path: &str) -> Answer {
        self.https.request("GET", &format!("/admin/v1/{path}"), None, &[]).expect("an answer")
    }

    /// What Prometheus would scrape.
    pub fn metrics(&mut self) -> Answer {
        self.https.request("GET", "/metrics", None, &[]).expect("an answer")
    }

    /// `POST` below `/admin/v1/`.
    pub fn post(&mut self, path: &str, body: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON");
        self.https.request("POST", &format!("/admin/v1/{path}"), Some("application/json"), &body).expect("an answer")
    }

    /// A fresh box with `pin` in it, as signetctl makes them.
    pub fn unseal_box(&mut self, pin: &[u8]) -> UnsealBox {
        let answer = self.post("unseal/challenge", &());
        let challenge: Challenge = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
        let challenge = challenge.into();
        // What signetctl has from its enrolment; a rig has no other host to be mistaken for.
        let pinned = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, identity(&challenge));
        let pinned = pinned.as_ref().try_into().expect("32 octets");
        hsm::seal::seal_pin(&challenge, pinned, pin).expect("a box").into()
    }
}

fn identity(challenge: &hsm::wire::Challenge) -> &[u8] {
    &challenge.identity_spki
}
