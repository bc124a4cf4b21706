//! JSON Web Signatures as RFC 8555 section 6.2 restricts them: flattened JSON, one signature,
//! everything in the protected header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::api::strict;
use crate::service::acme::eab::{ExternalBinding, MacAlgorithm};
use crate::service::acme::error::AcmeError;
use crate::service::acme::key::{AccountKey, Algorithm, VerifyError};

/// A request body that is a well-formed JWS. Nothing in it is believed before [`Jws::verify`].
#[derive(Clone, Debug)]
pub struct Jws {
    /// Signature algorithm.
    pub algorithm: Algorithm,
    /// Nonce, if there is one; not yet taken back.
    pub nonce: Option<String>,
    /// The URL that the client meant.
    pub url: String,
    /// Who signed.
    pub signer: Signer,
    /// The payload; empty in a POST-as-GET.
    pub payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

/// Who signed: exactly one of `jwk` and `kid` (A-012).
#[derive(Clone, Debug)]
pub enum Signer {
    /// The holder of this key.
    Jwk(AccountKey),
    /// The account of this URL.
    Kid(String),
}

/// Parses a request body, or the JWS of a key change inside one. Any bytes give a JWS or an error.
pub fn parse(body: &[u8]) -> Result<Jws, AcmeError> {
    let Parts { header, protected, payload, signature } = Parts::read(body)?;
    let name = header.algorithm()?;
    let algorithm = Algorithm::from_name(name).ok_or_else(|| {
        let name: String = name.chars().take(32).collect();
        AcmeError::BadSignatureAlgorithm(format!("the JWS algorithm `{name}` is not accepted"))
    })?;
    let signer = match (header.jwk, header.kid) {
        (Some(jwk), None) => {
            let key = AccountKey::from_jwk(&jwk)?;
            // Before the signature: with a key that is none it would be the signature that is wrong.
            key.check()?;
            Signer::Jwk(key)
        }
        (None, Some(kid)) => Signer::Kid(kid),
        _ => return Err(malformed("the JWS protected header must have exactly one of `jwk` and `kid`")),
    };
    let url = header.url.ok_or_else(|| malformed("the JWS protected header lacks `url`"))?;
    Ok(Jws {
        algorithm,
        nonce: header.nonce,
        url,
        signer,
        payload: decode("payload", payload)?,
        signature: decode("signature", signature)?,
        signed: format!("{protected}.{payload}"),
    })
}

/// Parses the JWS of an external account binding (RFC 8555 section 7.3.4) for the account key `key`
/// in a request to `url`. Its MAC is not verified: that takes the secret.
pub fn parse_binding(jws: &Map<String, Value>, key: &AccountKey, url: &str) -> Result<ExternalBinding, AcmeError> {
    let wrong = |why: &str| malformed(format!("the external account binding {why}"));
    let text = serde_json::to_vec(jws).map_err(|_| wrong("cannot be read"))?;
    let Parts { header, protected, payload, signature } = Parts::read(&text)?;
    let algorithm = MacAlgorithm::from_name(header.algorithm()?)
        .ok_or_else(|| wrong("must be authenticated with HS256, HS384 or HS512"))?;
    if header.nonce.is_some() {
        return Err(wrong("has a `nonce`: leave it out"));
    }
    if header.url.as_deref() != Some(url) {
        return Err(wrong("must have the `url` of the request that it stands in"));
    }
    let (Some(id), None) = (header.kid, header.jwk) else {
        return Err(wrong("must name its key with `kid`"));
    };
    let bound: Map<String, Value> = json(&decode("payload", payload)?)
        .map_err(|_| wrong("must have the account's key, as a JWK, for its payload"))?;
    if AccountKey::from_jwk(&bound).ok().as_ref() != Some(key) {
        return Err(wrong("is for another account key than the request's"));
    }
    Ok(ExternalBinding {
        key: id,
        algorithm,
        signed: format!("{protected}.{payload}"),
        mac: decode("signature", signature)?,
        jws: Value::Object(jws.clone()),
    })
}

/// A flattened JWS whose protected header was read.
struct Parts<'a> {
    header: Header,
    protected: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn read(body: &'a [u8]) -> Result<Self, AcmeError> {
        let body: Flattened<'_> =
            json(body).map_err(|error| malformed(format!("the body is not a flattened JWS: {error}")))?;
        if body.signatures {
            return Err(malformed("the JWS has `signatures`: send the flattened form with one `signature`"));
        }
        if body.header {
            return Err(malformed("the JWS has an unprotected `header`: put everything into `protected`"));
        }
        let (Some(protected), Some(payload), Some(signature)) = (body.protected, body.payload, body.signature) else {
            return Err(malformed("the JWS lacks `protected`, `payload` or `signature`"));
        };
        let header: Header = json(&decode("protected", protected)?)
            .map_err(|error| malformed(format!("the JWS protected header cannot be read: {error}")))?;
        if header.crit {
            return Err(malformed("the JWS protected header has `crit`: no extension of JWS is supported"));
        }
        if header.b64 {
            return Err(malformed("the JWS protected header has `b64`: payloads are base64url"));
        }
        Ok(Self { header, protected, payload, signature })
    }
}

impl Header {
    fn algorithm(&self) -> Result<&str, AcmeError> {
        self.alg.as_deref().ok_or_else(|| malformed("the JWS protected header lacks `alg`"))
    }
}

impl Jws {
    /// Verifies the signature with `key`.
    pub fn verify(&self, key: &AccountKey) -> Result<(), AcmeError> {
        key.verify(self.algorithm, self.signed.as_bytes(), &self.signature).map_err(|error| match error {
            VerifyError::Algorithm => AcmeError::BadSignatureAlgorithm(error.to_string()),
            VerifyError::Signature => malformed(error.to_string()),
        })
    }
}

/// The body. Members that RFC 7515 does not define are ignored.
#[derive(Deserialize)]
struct Flattened<'a> {
    #[serde(borrow, default)]
    protected: Option<&'a str>,
    #[serde(borrow, default)]
    payload: Option<&'a str>,
    #[serde(borrow, default)]
    signature: Option<&'a str>,
    #[serde(default, deserialize_with = "present")]
    signatures: bool,
    #[serde(default, deserialize_with = "present")]
    header: bool,
}

/// The protected header. A member that stands twice is an error (RFC 7515 section 4).
#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    nonce: Option<String>,
    url: Option<String>,
    jwk: Option<Map<String, Value>>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
}

/// Whether a member is there, whatever its value.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|IgnoredAny| true)
}

/// What JSON text says. It is UTF-8 throughout (A-001).
pub(super) fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    strict::read(text)
}

/// Strict base64url: no padding, no other alphabet, no bits left over (A-004).
pub(super) fn decode(what: &str, text: &str) -> Result<Vec<u8>, AcmeError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(format!("`{what}` is not base64url without padding")))
}

fn malformed(why: impl Into<String>) -> AcmeError {
    AcmeError::Malformed(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A flattened JWS over `header`, with a signature that nobody made.
    fn body(header: &str) -> Vec<u8> {
        let protected = URL_SAFE_NO_PAD.encode(header);
        format!(r#"{{"protected":"{protected}","payload":"e30","signature":"AAAA"}}"#).into_bytes()
    }

    const GOOD: &str =
        r#"{"alg":"ES256","nonce":"bm9uY2U","url":"https://ca.test/x","kid":"https://ca.test/acme/account/a"}"#;

    #[test]
    fn a_flattened_jws_is_parsed() {
        let jws = parse(&body(GOOD)).unwrap();
        assert_eq!(
            (jws.algorithm, jws.nonce.as_deref(), jws.payload.as_slice()),
            (Algorithm::Es256, Some("bm9uY2U"), &b"{}"[..])
        );
        assert!(matches!(jws.signer, Signer::Kid(kid) if kid == "https://ca.test/acme/account/a"));
    }

    #[test]
    fn members_that_stand_twice_are_refused_and_unknown_ones_ignored() {
        let twice = GOOD.replacen("\"alg\"", "\"alg\":\"none\",\"alg\"", 1);
        assert!(matches!(parse(&body(&twice)), Err(AcmeError::Malformed(_))));
        let unknown = GOOD.replacen("\"alg\"", "\"typ\":\"JWT\",\"alg\"", 1);
        assert!(parse(&body(&unknown)).is_ok());
        let outside = String::from_utf8(body(GOOD)).unwrap().replacen('{', "{\"x\":[{}],", 1);
        assert!(parse(outside.as_bytes()).is_ok());
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(parse(deep.as_bytes()), Err(AcmeError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_jws_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_change_of_a_good_one_gives_a_jws_or_an_error(
            at in 0usize..400, octet in any::<u8>(), cut in 0usize..400
        ) {
            let mut bytes = body(GOOD);
            let length = bytes.len();
            bytes[at % length] = octet;
            bytes.truncate(length - cut % 8);
            let _ = parse(&bytes);
        }

        #[test]
        fn any_header_gives_a_jws_or_an_error(
            alg in "(ES256|RS256|EdDSA|none|.{0,8})", crv in "(P-256|P-384|Ed25519|.{0,5})", kty in "(EC|RSA|OKP|oct|.{0,4})",
            x in "[A-Za-z0-9_=+-]{0,90}", y in "[A-Za-z0-9_-]{0,66}", nonce in ".{0,20}"
        ) {
            let jwk = serde_json::json!({"kty": kty, "crv": crv, "x": x, "y": y, "n": x, "e": y});
            let header = serde_json::json!({"alg": alg, "nonce": nonce, "url": "u", "jwk": jwk});
            if let Ok(jws) = parse(&body(&header.to_string()))
                && let Signer::Jwk(key) = &jws.signer
            {
                prop_assert!(jws.verify(key).is_err());
                let _ = (key.thumbprint(), key.check());
            }
        }
    }
}
