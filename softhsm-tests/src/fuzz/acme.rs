//! What ACME clients send within a JWS: payloads, account keys, external account bindings.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daemon::api::acme::{bodies, jws};
use daemon::service::acme::key::AccountKey;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{Verdict, verdict};

/// Payloads of requests: what a handler reads is a JSON object in UTF-8.
pub fn acme_body(bytes: &[u8]) -> Verdict {
    let readers = bodies::readers(bytes);
    if !readers.is_empty() {
        // Members that are ignored may nest deeper, and be larger numbers, than a `Value` holds.
        let object = std::str::from_utf8(bytes).map(serde_json::from_str::<BTreeMap<String, IgnoredAny>>);
        assert!(matches!(object, Ok(Ok(_))), "{readers:?} read what is no object: {object:?}");
    }
    verdict(!readers.is_empty())
}

/// The inner JWS of an external account binding, for one account key and one URL.
pub fn eab(bytes: &[u8]) -> Verdict {
    let Ok(binding) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return Verdict::Refused };
    let key =
        serde_json::from_str(JWK).ok().and_then(|jwk| AccountKey::from_jwk(&jwk).ok()).expect("the key of RFC 7517");
    verdict(jws::parse_binding(&binding, &key, URL).is_ok())
}

/// Account keys: a key survives its own text, and its thumbprint is that of SHA-256.
pub fn jwk(bytes: &[u8]) -> Verdict {
    let key = serde_json::from_slice(bytes).ok().and_then(|jwk| AccountKey::from_jwk(&jwk).ok());
    let Some(key) = key else { return Verdict::Refused };
    // A key that is weak is refused here, not by a panic.
    let _ = key.check();
    assert_eq!(key.thumbprint().len(), 43);
    let text = serde_json::to_vec(&key).expect("a key has JSON");
    let again: AccountKey = serde_json::from_slice(&text).expect("our own JSON");
    assert_eq!(again, key);
    assert_eq!(again.thumbprint(), key.thumbprint());
    Verdict::Accepted
}

pub(super) fn acme_body_seeds() -> Vec<Vec<u8>> {
    let identifier = json!({"type": "dns", "value": "a.example.test"});
    let jwk: Value = serde_json::from_str(JWK).expect("JSON");
    let account = "https://ca.example.test/acme/account/00112233445566778899aabbccddeeff";
    let payloads = [
        json!({}),
        json!({"account": account, "oldKey": jwk}),
        json!({"certificate": "MAA", "reason": 1}),
        json!({"contact": ["mailto:admin@example.test"], "status": "deactivated", "termsOfServiceAgreed": true}),
        json!({
            "contact": ["mailto:admin@example.test"], "termsOfServiceAgreed": true, "onlyReturnExisting": false,
            "externalAccountBinding": {"protected": "e30", "payload": "e30", "signature": "AA"},
        }),
        json!({"csr": "MAA"}),
        json!({"identifier": identifier}),
        json!({
            "identifiers": [identifier, {"type": "ip", "value": "2001:db8::1"}, {"type": "dns", "value": "*.example.test"}],
            "notBefore": "2030-01-31T12:00:00Z", "notAfter": "2030-02-28T12:00:00.000+01:00",
            "profile": "server", "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
        }),
    ];
    payloads.iter().map(|payload| payload.to_string().into_bytes()).collect()
}

pub(super) fn eab_seeds() -> Vec<Vec<u8>> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let binding = |algorithm: &str, length: usize| {
        let header = json!({"alg": algorithm, "kid": "key-1", "url": URL}).to_string();
        let mac = encode(&vec![7; length]);
        json!({"protected": encode(header.as_bytes()), "payload": encode(JWK.as_bytes()), "signature": mac})
    };
    [("HS256", 32), ("HS512", 64)].map(|(algorithm, length)| binding(algorithm, length).to_string().into_bytes()).into()
}

pub(super) fn jwk_seeds() -> Vec<Vec<u8>> {
    [JWK, RSA, ED25519].map(|jwk| jwk.as_bytes().to_vec()).into()
}

/// Where the binding stands.
const URL: &str = "https://ca.example.test/acme/new-account";

/// The example of RFC 7517 appendix A.1.
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

/// The example of RFC 7638 section 3.1.
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#;

/// The example of RFC 8037 appendix A.2.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWWQHg7hcvPdiapMlrwPjaaHURo"}"#;
