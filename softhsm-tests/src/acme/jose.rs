//! What an ACME client signs: JWS with ES256 (RFC 7515, RFC 8555 section 6.2), and CSRs.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Who a JWS names as its signer.
pub(super) enum Signer<'a> {
    /// An account's URL.
    Account(&'a str),
    /// The key itself: for newAccount.
    Key,
}

/// An account's key.
pub(super) struct AccountKey(EcdsaKeyPair);

impl AccountKey {
    pub(super) fn generate() -> Self {
        Self(generate(&ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    /// A flattened JWS over `payload`; an empty one for POST-as-GET.
    pub(super) fn jws(&self, signer: &Signer<'_>, url: &str, nonce: &str, payload: &str) -> Vec<u8> {
        let mut header = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match signer {
            Signer::Account(kid) => header["kid"] = json!(kid),
            Signer::Key => header["jwk"] = self.jwk(),
        }
        let protected = encode(header.to_string());
        let payload = encode(payload);
        let signature =
            self.0.sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes()).expect("a P-256 key signs");
        json!({ "protected": protected, "payload": payload, "signature": encode(signature) }).to_string().into_bytes()
    }

    /// `token.thumbprint`, RFC 8555 section 8.1.
    pub(super) fn key_authorization(&self, token: &str) -> String {
        // serde_json writes members in the order of their names, as RFC 7638 wants them.
        let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.jwk().to_string().as_bytes());
        format!("{token}.{}", encode(thumbprint))
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "crv": "P-256", "kty": "EC", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }
}

/// The key of a certificate.
pub struct SubjectKey(EcdsaKeyPair);

impl SubjectKey {
    /// A fresh P-256 key.
    pub fn generate() -> Self {
        Self(generate(&ECDSA_P256_SHA256_ASN1_SIGNING))
    }

    /// DER of a certification request for one DNS name (RFC 2986), with an empty subject.
    pub fn csr(&self, name: &str) -> Vec<u8> {
        /// 1.2.840.113549.1.9.14
        const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
        /// 2.5.29.17
        const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
        /// 1.2.840.10045.4.3.2
        const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
        let names = tlv(SEQUENCE, &[&tlv(0x82, &[name.as_bytes()])]);
        let extension = tlv(SEQUENCE, &[&tlv(OID, &[SUBJECT_ALT_NAME]), &tlv(OCTET_STRING, &[&names])]);
        let values = tlv(SET, &[&tlv(SEQUENCE, &[&extension])]);
        let attribute = tlv(SEQUENCE, &[&tlv(OID, &[EXTENSION_REQUEST]), &values]);
        let spki = self.0.public_key().as_der().expect("a P-256 key has a SubjectPublicKeyInfo");
        let info = tlv(
            SEQUENCE,
            &[&tlv(INTEGER, &[&[0]]), &tlv(SEQUENCE, &[]), spki.as_ref(), &tlv(ATTRIBUTES, &[&attribute])],
        );
        let signature = self.0.sign(&SystemRandom::new(), &info).expect("a P-256 key signs");
        let algorithm = tlv(SEQUENCE, &[&tlv(OID, &[ECDSA_WITH_SHA256])]);
        tlv(SEQUENCE, &[&info, &algorithm, &tlv(BIT_STRING, &[&[0], signature.as_ref()])])
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const ATTRIBUTES: u8 = 0xa0;

/// DER of one value; lengths below 65,536.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut der = vec![tag];
    match content.len() {
        length @ 0..0x80 => der.push(length as u8),
        length @ 0x80..0x100 => der.extend([0x81, length as u8]),
        length => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}

fn generate(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).expect("the generator makes a P-256 key")
}

/// base64url without padding.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
