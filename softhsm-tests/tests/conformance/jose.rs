//! Keys of every kind, and what they sign, right or wrong.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair that signs requests and, the same one if a test wants it so, CSRs.
pub(crate) enum Key {
    Ed25519(Ed25519KeyPair),
    P256 { jws: EcdsaKeyPair, asn1: EcdsaKeyPair },
    P384 { jws: EcdsaKeyPair, asn1: EcdsaKeyPair },
    Rsa(RsaKeyPair),
}

impl Key {
    pub(crate) fn p256() -> Self {
        let jws = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key");
        let der = jws.to_pkcs8v1().expect("PKCS#8");
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref()).expect("the same key");
        Self::P256 { jws, asn1 }
    }

    pub(crate) fn p384() -> Self {
        let jws = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a P-384 key");
        let der = jws.to_pkcs8v1().expect("PKCS#8");
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der.as_ref()).expect("the same key");
        Self::P384 { jws, asn1 }
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key"))
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
    }

    /// The JWS algorithm of this key.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256 { .. } => "ES256",
            Self::P384 { .. } => "ES384",
            Self::Rsa(_) => "RS256",
        }
    }

    /// The public key, RFC 7517, with no more members than the thumbprint has.
    pub(crate) fn jwk(&self) -> Value {
        let point = |curve: &str, key: &EcdsaKeyPair| {
            let point = &key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"crv": curve, "kty": "EC", "x": encode(x), "y": encode(y)})
        };
        match self {
            Self::Ed25519(key) => json!({"crv": "Ed25519", "kty": "OKP", "x": encode(key.public_key())}),
            Self::P256 { jws, .. } => point("P-256", jws),
            Self::P384 { jws, .. } => point("P-384", jws),
            Self::Rsa(key) => {
                // RSAPublicKey, RFC 8017: a sequence of two integers; the exponent is 65,537.
                let der = key.public_key().as_ref();
                let modulus = &der[der.len() - 5 - key.public_modulus_len()..der.len() - 5];
                json!({"e": encode([1, 0, 1]), "kty": "RSA", "n": encode(modulus)})
            }
        }
    }

    /// RFC 7638.
    pub(crate) fn thumbprint(&self) -> String {
        // serde_json writes members in the order of their names, as RFC 7638 wants them.
        encode(sha256(self.jwk().to_string().as_bytes()))
    }

    /// A JWS signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256 { jws, .. } | Self::P384 { jws, .. } => {
                jws.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
            }
            _ => self.sign_der(message),
        }
    }

    /// A signature as X.509 has it.
    pub(crate) fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::P256 { asn1, .. } | Self::P384 { asn1, .. } => {
                asn1.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
        }
    }

    /// AlgorithmIdentifier of [`Key::sign_der`].
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(_) => vec![0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
            Self::P256 { .. } => vec![0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
            Self::P384 { .. } => vec![0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
            Self::Rsa(_) => {
                vec![0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00]
            }
        }
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Vec<u8> {
        let der = match self {
            Self::Ed25519(key) => key.public_key().as_der(),
            Self::P256 { jws, .. } | Self::P384 { jws, .. } => jws.public_key().as_der(),
            Self::Rsa(key) => key.public_key().as_der(),
        };
        der.expect("SubjectPublicKeyInfo").as_ref().to_vec()
    }

    /// PKCS#8, for TLS.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec(),
            Self::P256 { jws, .. } | Self::P384 { jws, .. } => jws.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec(),
            Self::Rsa(key) => {
                AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(key).expect("PKCS#8").as_ref().to_vec()
            }
        }
    }
}

/// A flattened JWS: what is signed is exactly what is sent.
pub(crate) fn flattened(header: &Value, payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let (protected, payload) = (encode(header.to_string()), encode(payload));
    let signature = sign(format!("{protected}.{payload}").as_bytes());
    json!({"protected": protected, "payload": payload, "signature": encode(signature)})
}

/// HMAC with the hash that a JWS algorithm names.
pub(crate) fn mac(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

/// base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What strict base64url without padding says.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
