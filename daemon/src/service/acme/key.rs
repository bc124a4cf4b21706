//! Account keys: public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::key::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// JWS algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// EdDSA with Ed25519
    EdDsa,
    /// ECDSA with P-256 and SHA-256
    Es256,
    /// ECDSA with P-384 and SHA-384
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
}

impl Algorithm {
    /// Every algorithm that is accepted, by its JWS name.
    pub const NAMES: [&'static str; 5] = ["ES256", "ES384", "EdDSA", "Ed25519", "RS256"];

    /// The algorithm of that JWS name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// A public key that signs requests. Its numbers are canonical: RSA without leading zero octets,
/// coordinates at the width of their curve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct AccountKey(Numbers);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbers {
    Ec { curve: Curve, point: Vec<u8> },
    Ed25519([u8; 32]),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

/// Why a JSON Web Key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// A member is missing, is not text, or is not base64url without padding.
    #[error("the JWK's `{0}` is missing or is not base64url text without padding")]
    Member(&'static str),
    /// It holds a private key.
    #[error("the JWK holds a private key: send its public members only, and make a new key")]
    Private,
    /// The numbers are no key, or a weak one.
    #[error("{0}")]
    Refused(String),
    /// The type or curve is none that is accepted.
    #[error("the JWK is of none of the accepted kinds: EC P-256, EC P-384, OKP Ed25519, RSA of 2048 bits or more")]
    Unsupported,
}

/// A signature does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The algorithm is not one of the key's.
    #[error("the JWS algorithm does not fit the type of the key")]
    Algorithm,
    /// The signature is wrong.
    #[error("the JWS signature does not verify with the key")]
    Signature,
}

impl AccountKey {
    /// Reads a JWK. Members that this server does not know are ignored (RFC 7517 section 4).
    /// Whether the key is weak is for [`AccountKey::check`].
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, JwkError> {
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|member| jwk.contains_key(*member)) {
            return Err(JwkError::Private);
        }
        let text = |member: &'static str| jwk.get(member).and_then(Value::as_str).ok_or(JwkError::Member(member));
        let number = |member: &'static str| {
            // The largest number is an RSA modulus of 8192 bits; the bound keeps hostile ones cheap.
            let text = text(member)?;
            if text.len() > 1400 {
                return Err(JwkError::Refused(format!("the JWK's `{member}` is too long")));
            }
            URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Member(member))
        };
        Ok(Self(match (text("kty")?, jwk.get("crv").and_then(Value::as_str)) {
            ("EC", Some(crv)) => {
                let curve = Curve::from_name(crv).ok_or(JwkError::Unsupported)?;
                let mut point = vec![4];
                for member in ["x", "y"] {
                    point.extend_from_slice(fixed_width(&number(member)?, curve.width(), member)?);
                }
                Numbers::Ec { curve, point }
            }
            ("OKP", Some("Ed25519")) => {
                let x = number("x")?;
                Numbers::Ed25519(x.try_into().map_err(|_| wrong_width("x", 32))?)
            }
            ("RSA", _) => {
                let (n, e) = (number("n")?, number("e")?);
                let (n, e) = (stripped(&n), stripped(&e));
                if n.is_empty() || e.is_empty() {
                    return Err(JwkError::Refused("the RSA key's modulus or exponent is zero".into()));
                }
                Numbers::Rsa { n: n.to_vec(), e: e.to_vec() }
            }
            _ => return Err(JwkError::Unsupported),
        }))
    }

    /// The key as policy knows it, if it is sound and not weak (A-017).
    pub fn check(&self) -> Result<PublicKey, JwkError> {
        PublicKey::from_spki(&self.spki()).map_err(|error| JwkError::Refused(error.to_string()))
    }

    /// Verifies a JWS signature: ECDSA as R and S at fixed width (RFC 7518 section 3.4).
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let with = |scheme: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(scheme, key).verify(message, signature).map_err(|_| VerifyError::Signature)
        };
        match (&self.0, algorithm) {
            (Numbers::Ec { curve: Curve::P256, point }, Algorithm::Es256) => with(&ECDSA_P256_SHA256_FIXED, point),
            (Numbers::Ec { curve: Curve::P384, point }, Algorithm::Es384) => with(&ECDSA_P384_SHA384_FIXED, point),
            (Numbers::Ed25519(x), Algorithm::EdDsa) => with(&ED25519, x),
            (Numbers::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .map_err(|_| VerifyError::Signature),
            _ => Err(VerifyError::Algorithm),
        }
    }

    /// JWK thumbprint with SHA-256 (RFC 7638), base64url: the second half of every key authorization.
    pub fn thumbprint(&self) -> String {
        // Required members only, in lexicographic order, without white space (RFC 7638 section 3.2).
        let json = match &self.0 {
            Numbers::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.width());
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), encode(x), encode(y))
            }
            Numbers::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
            Numbers::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n)),
        };
        encode(digest(&SHA256, json.as_bytes()).as_ref())
    }

    /// The DER SubjectPublicKeyInfo (RFC 5480, RFC 8017 appendix A.1, RFC 8410).
    fn spki(&self) -> Vec<u8> {
        match &self.0 {
            Numbers::Ec { curve, point } => {
                sequence(&[sequence(&[EC_PUBLIC_KEY.to_vec(), curve.oid().to_vec()]), bit_string(point)])
            }
            Numbers::Ed25519(x) => sequence(&[sequence(&[ED25519_OID.to_vec()]), bit_string(x)]),
            Numbers::Rsa { n, e } => sequence(&[
                sequence(&[RSA_ENCRYPTION.to_vec(), vec![5, 0]]),
                bit_string(&sequence(&[unsigned(n), unsigned(e)])),
            ]),
        }
    }
}

impl Curve {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            Self::P384 => &[6, 5, 0x2b, 0x81, 4, 0, 0x22],
        }
    }
}

impl TryFrom<Map<String, Value>> for AccountKey {
    type Error = JwkError;

    fn try_from(jwk: Map<String, Value>) -> Result<Self, JwkError> {
        Self::from_jwk(&jwk)
    }
}

impl From<AccountKey> for Map<String, Value> {
    fn from(key: AccountKey) -> Self {
        let members: Vec<(&str, String)> = match &key.0 {
            Numbers::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.width());
                vec![("crv", curve.name().into()), ("kty", "EC".into()), ("x", encode(x)), ("y", encode(y))]
            }
            Numbers::Ed25519(x) => vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", encode(x))],
            Numbers::Rsa { n, e } => vec![("e", encode(e)), ("kty", "RSA".into()), ("n", encode(n))],
        };
        members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
    }
}

/// Object identifiers as DER: id-ecPublicKey, id-Ed25519, rsaEncryption.
const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519_OID: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

/// A coordinate at the width of its curve. Octets prepended to that are stripped if zero
/// (RFC 8555 section 8.1); a shorter one breaks RFC 7518 section 6.2.1.2.
fn fixed_width<'a>(number: &'a [u8], width: usize, member: &'static str) -> Result<&'a [u8], JwkError> {
    let extra = number.len().checked_sub(width).ok_or_else(|| wrong_width(member, width))?;
    let (zeros, coordinate) = number.split_at(extra);
    if zeros.iter().all(|octet| *octet == 0) { Ok(coordinate) } else { Err(wrong_width(member, width)) }
}

fn wrong_width(member: &'static str, width: usize) -> JwkError {
    JwkError::Refused(format!("the JWK's `{member}` is not {width} octets long"))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn bit_string(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|octet| *octet >= 0x80) { &[0] } else { &[] };
    tlv(2, &[sign, number].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(jwk: Value) -> Result<AccountKey, JwkError> {
        let Value::Object(jwk) = jwk else { panic!("not an object") };
        AccountKey::from_jwk(&jwk)
    }

    /// RFC 7638 section 3.1
    const RFC7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638() {
        let key = key(json!({"kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_of_an_okp_key_is_the_one_of_rfc_8037() {
        let key = key(json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
        assert_eq!(key.unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn prepended_zero_octets_do_not_change_the_thumbprint() {
        let n = URL_SAFE_NO_PAD.decode(RFC7638_N).unwrap();
        let padded = encode(&[&[0, 0], n.as_slice()].concat());
        let key_with = key(json!({"kty": "RSA", "n": padded, "e": "AAEAAQ"})).unwrap();
        assert_eq!(key_with.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn coordinates_stay_at_the_width_of_their_curve() {
        let x = encode(&[0; 32]);
        let with_zero = encode(&[0; 33]);
        let y = encode(&[7; 32]);
        let narrow = key(json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).unwrap();
        let wide = key(json!({"kty": "EC", "crv": "P-256", "x": with_zero, "y": y})).unwrap();
        assert_eq!(narrow, wide);
        assert!(key(json!({"kty": "EC", "crv": "P-256", "x": encode(&[7; 31]), "y": y})).is_err());
        assert!(key(json!({"kty": "EC", "crv": "P-256", "x": encode(&[7; 33]), "y": y})).is_err());
    }

    #[test]
    fn keys_that_are_not_understood_are_refused() {
        for (jwk, expected) in [
            (json!({}), JwkError::Member("kty")),
            (json!({"kty": 7}), JwkError::Member("kty")),
            (json!({"kty": "oct", "k": "AAAA"}), JwkError::Private),
            (json!({"kty": "EC", "crv": "P-521", "x": "", "y": ""}), JwkError::Unsupported),
            (json!({"kty": "OKP", "crv": "X25519", "x": ""}), JwkError::Unsupported),
            (json!({"kty": "RSA", "n": "AQ==", "e": "AQAB"}), JwkError::Member("n")),
            (json!({"kty": "RSA", "n": "AQ", "e": "AQ AB"}), JwkError::Member("e")),
            (json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "d": "AQ"}), JwkError::Private),
        ] {
            assert_eq!(key(jwk.clone()), Err(expected), "{jwk}");
        }
    }

    #[test]
    fn a_key_survives_its_json_form() {
        let key = key(json!({"kty": "RSA", "n": RFC7638_N, "e": "AQAB"})).unwrap();
        let again: AccountKey = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
        assert_eq!(key, again);
    }

    #[test]
    fn the_signature_of_rfc_7515_appendix_a_3_verifies_and_a_changed_one_does_not() {
        let key = key(json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}))
        .unwrap();
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = URL_SAFE_NO_PAD
            .decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
            .unwrap();
        assert_eq!(key.verify(Algorithm::Es256, message, &signature), Ok(()));
        assert_eq!(key.verify(Algorithm::Es384, message, &signature), Err(VerifyError::Algorithm));
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert_eq!(key.verify(Algorithm::Es256, message, &changed), Err(VerifyError::Signature));
        }
        assert_eq!(key.verify(Algorithm::Es256, message, &[]), Err(VerifyError::Signature));
    }

    #[test]
    fn the_signature_of_rfc_8037_appendix_a_4_verifies() {
        let key = key(json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert_eq!(key.unwrap().verify(Algorithm::EdDsa, message, &signature), Ok(()));
    }
}
