//! Keys: finding them, reading their public half, judging their attributes, generating them.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use der::asn1::{AnyRef, BitString, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use policy::key::{KeyAlgorithm, PublicKey};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::module::Module;
use super::{ErrorClass, TokenError, TokenKey};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// 65537.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// RSA sizes that are generated.
const RSA_BITS: std::ops::RangeInclusive<u16> = 2048..=4096;

/// The objects of one session.
pub(super) struct Objects<'a> {
    pub(super) module: &'a Module,
    pub(super) session: &'a Session,
}

/// How a key's attributes are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Made by the caller a moment ago: it has never been anything but sensitive.
    Generated,
    /// Found in the token. Where it was before cannot be changed, and is only reported.
    Found,
}

impl Objects<'_> {
    /// The private key labelled `label`; `None` when there is none.
    pub(super) fn private(&self, label: &str) -> Result<Option<ObjectHandle>, TokenError> {
        let found = self.find(ObjectClass::PRIVATE_KEY, Attribute::Label(label.as_bytes().to_vec()))?;
        match found.as_slice() {
            [] => Ok(None),
            [key] => Ok(Some(*key)),
            _ => {
                let what = format!("{} private keys are labelled `{label}`: rename or remove all but one", found.len());
                Err(TokenError::new("C_FindObjects", ErrorClass::Operator, what))
            }
        }
    }

    /// Reads and judges a private key that was found.
    pub(super) fn read(&self, label: &str, private: ObjectHandle) -> Result<TokenKey, TokenError> {
        self.judge(label, private, Origin::Found)?;
        Ok(TokenKey { label: label.to_owned(), public: self.public(label, private)? })
    }

    /// Generates a key pair and reads it back. Needs a read-write session.
    pub(super) fn generate(&self, label: &str, algorithm: KeyAlgorithm, bits: u16) -> Result<TokenKey, TokenError> {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            if !self.find(class, Attribute::Label(label.as_bytes().to_vec()))?.is_empty() {
                let what = format!("a key labelled `{label}` exists: nothing was changed");
                return Err(TokenError::new("C_GenerateKeyPair", ErrorClass::Operator, what));
            }
        }
        let (mechanism, mut public) = parameters(algorithm, bits)?;
        public.extend([Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true)]);
        public.extend(named(label));
        let mut private = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Derive(false),
            Attribute::Unwrap(false),
        ];
        private.extend(named(label));
        let (public_key, private_key) =
            self.module.call("C_GenerateKeyPair", |_| self.session.generate_key_pair(&mechanism, &public, &private))?;
        let read = self
            .judge(label, private_key, Origin::Generated)
            .and_then(|()| self.public(label, private_key))
            .and_then(|public| check_kind(label, algorithm, public));
        match read {
            Ok(public) => Ok(TokenKey { label: label.to_owned(), public }),
            Err(error) => {
                // A key that is not what was asked for must not be found by the next run.
                for object in [private_key, public_key] {
                    if let Err(left) = self.module.call("C_DestroyObject", |_| self.session.destroy_object(object)) {
                        tracing::warn!(label, %left, "a refused key was left in the token");
                    }
                }
                Err(error)
            }
        }
    }

    pub(super) fn find(&self, class: ObjectClass, which: Attribute) -> Result<Vec<ObjectHandle>, TokenError> {
        let template = [Attribute::Class(class), Attribute::Token(true), which];
        self.module.call("C_FindObjects", |_| self.session.find_objects(&template))
    }

    pub(super) fn attributes(
        &self,
        object: ObjectHandle,
        types: &[AttributeType],
    ) -> Result<Vec<Attribute>, TokenError> {
        self.module.call("C_GetAttributeValue", |_| self.session.get_attributes(object, types))
    }

    /// Refuses a private key that could leave the token, or cannot sign.
    fn judge(&self, label: &str, private: ObjectHandle, origin: Origin) -> Result<(), TokenError> {
        let has = self.attributes(
            private,
            &[
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::Sign,
                AttributeType::AlwaysSensitive,
                AttributeType::NeverExtractable,
                AttributeType::Decrypt,
                AttributeType::Unwrap,
                AttributeType::Derive,
            ],
        )?;
        verdict(&has, origin, label).map_err(|why| {
            let what = format!("the key `{label}` {why}: use a key that the ceremony generated");
            TokenError::new("C_GetAttributeValue", ErrorClass::Operator, what)
        })
    }

    /// The public half: from the public key object, or for RSA from the private key's own
    /// attributes.
    fn public(&self, label: &str, private: ObjectHandle) -> Result<PublicKey, TokenError> {
        const PUBLIC: [AttributeType; 5] = [
            AttributeType::KeyType,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::EcParams,
            AttributeType::EcPoint,
        ];
        let id = self.attributes(private, &[AttributeType::Id])?.into_iter().find_map(|attribute| match attribute {
            Attribute::Id(id) if !id.is_empty() => Some(Attribute::Id(id)),
            _ => None,
        });
        let which = id.unwrap_or_else(|| Attribute::Label(label.as_bytes().to_vec()));
        let source = match self.find(ObjectClass::PUBLIC_KEY, which)?.as_slice() {
            [] => private,
            [public] => *public,
            several => {
                let what = format!("{} public keys belong to `{label}`: remove all but one", several.len());
                return Err(TokenError::new("C_FindObjects", ErrorClass::Operator, what));
            }
        };
        let has = self.attributes(source, &PUBLIC)?;
        let spki = spki(&has).ok_or_else(|| {
            let what = format!(
                "the public half of `{label}` is missing or unreadable: put its public key object into the token"
            );
            TokenError::new("C_GetAttributeValue", ErrorClass::Operator, what)
        })?;
        PublicKey::from_spki(&spki).map_err(|refused| {
            let what = format!("the key `{label}` cannot be used, generate another: {refused}");
            TokenError::new("C_GetAttributeValue", ErrorClass::Operator, what)
        })
    }
}

/// Why a key with these attributes is refused. An attribute that the token does not show is not
/// taken for what it should be.
fn verdict(has: &[Attribute], origin: Origin, label: &str) -> Result<(), &'static str> {
    let is = |attribute| has.contains(&attribute);
    if !is(Attribute::Sensitive(true)) {
        return Err("is not sensitive, its value can be read");
    }
    if !is(Attribute::Extractable(false)) {
        return Err("is extractable");
    }
    if !is(Attribute::Sign(true)) {
        return Err("may not sign");
    }
    let born_here = is(Attribute::AlwaysSensitive(true)) && is(Attribute::NeverExtractable(true));
    let does_more = is(Attribute::Decrypt(true)) || is(Attribute::Unwrap(true)) || is(Attribute::Derive(true));
    match origin {
        Origin::Generated if !born_here => Err("was not always sensitive and never extractable"),
        Origin::Generated if does_more => Err("may do more than sign"),
        Origin::Generated => Ok(()),
        Origin::Found => {
            if !born_here {
                tracing::warn!(label, "the token does not say that this key was never readable outside it");
            }
            if does_more {
                tracing::warn!(label, "the token lets this key do more than sign");
            }
            Ok(())
        }
    }
}

/// CKA_LABEL, and the same as CKA_ID: labels are unique, and the pair must share an id.
pub(super) fn named(label: &str) -> [Attribute; 2] {
    [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(label.as_bytes().to_vec())]
}

fn parameters(algorithm: KeyAlgorithm, bits: u16) -> Result<(Mechanism<'static>, Vec<Attribute>), TokenError> {
    let curve = |oid: ObjectIdentifier| {
        let der = oid.to_der().expect("an object identifier has an encoding");
        vec![Attribute::EcParams(der)]
    };
    match algorithm {
        KeyAlgorithm::Ed25519 => Ok((Mechanism::EccEdwardsKeyPairGen, curve(ED25519))),
        KeyAlgorithm::P256 => Ok((Mechanism::EccKeyPairGen, curve(P256))),
        KeyAlgorithm::P384 => Ok((Mechanism::EccKeyPairGen, curve(P384))),
        KeyAlgorithm::Rsa if RSA_BITS.contains(&bits) && bits.is_multiple_of(8) => {
            let size = Attribute::ModulusBits(Ulong::new(bits.into()));
            Ok((Mechanism::RsaPkcsKeyPairGen, vec![size, Attribute::PublicExponent(PUBLIC_EXPONENT.to_vec())]))
        }
        KeyAlgorithm::Rsa => {
            let what = format!("an RSA key of {bits} bits is not made: ask for 2048, 3072 or 4096");
            Err(TokenError::new("C_GenerateKeyPair", ErrorClass::Permanent, what))
        }
    }
}

fn check_kind(label: &str, asked: KeyAlgorithm, public: PublicKey) -> Result<PublicKey, TokenError> {
    if public.algorithm() == asked {
        return Ok(public);
    }
    let what =
        format!("the token made `{label}` a {:?} key instead of {asked:?}: use another token", public.algorithm());
    Err(TokenError::new("C_GenerateKeyPair", ErrorClass::Operator, what))
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// The DER SubjectPublicKeyInfo that attributes describe, if they describe one.
fn spki(attributes: &[Attribute]) -> Option<Vec<u8>> {
    let mut kind = None;
    let (mut modulus, mut exponent, mut params, mut point) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(is) => kind = Some(*is),
            Attribute::Modulus(value) => modulus = Some(value.as_slice()),
            Attribute::PublicExponent(value) => exponent = Some(value.as_slice()),
            Attribute::EcParams(value) => params = Some(value.as_slice()),
            Attribute::EcPoint(value) => point = Some(value.as_slice()),
            _ => {}
        }
    }
    let (algorithm, key) = match kind? {
        KeyType::RSA => {
            let key =
                RsaPublicKey { modulus: UintRef::new(modulus?).ok()?, public_exponent: UintRef::new(exponent?).ok()? };
            let parameters = Some(AnyRef::NULL.into());
            (AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters }, key.to_der().ok()?)
        }
        KeyType::EC => {
            let curve: ObjectIdentifier = ObjectIdentifier::from_der(params?).ok()?;
            let size = match curve {
                P256 => 65,
                P384 => 97,
                _ => return None,
            };
            let parameters = Some((&curve).into());
            (AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters }, bare(point?, size)?.to_vec())
        }
        KeyType::EC_EDWARDS => {
            (AlgorithmIdentifierOwned { oid: ED25519, parameters: None }, bare(point?, 32)?.to_vec())
        }
        _ => return None,
    };
    let subject_public_key = BitString::from_bytes(&key).ok()?;
    SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().ok()
}

/// CKA_EC_POINT is the point in an OCTET STRING, but some tokens give the bare point. Its length
/// decides: a bare point begins like an OCTET STRING, and once in a while has its length too.
fn bare(point: &[u8], size: usize) -> Option<&[u8]> {
    if point.len() == size {
        return Some(point);
    }
    let wrapped = <&OctetStringRef>::from_der(point).ok()?.as_bytes();
    (wrapped.len() == size).then_some(wrapped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a key that was generated well shows.
    const GOOD: [Attribute; 8] = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ];

    #[test]
    fn a_key_is_refused_for_each_attribute_that_is_wrong_or_missing() {
        assert_eq!(verdict(&GOOD, Origin::Generated, "key"), Ok(()));
        // The first three bind every key, the next two one that was generated now.
        for (index, attribute) in GOOD[..5].iter().enumerate() {
            let missing: Vec<_> = GOOD.iter().filter(|one| *one != attribute).cloned().collect();
            assert!(verdict(&missing, Origin::Generated, "key").is_err(), "{attribute:?}");
            assert_eq!(verdict(&missing, Origin::Found, "key").is_err(), index < 3, "{attribute:?}");
        }
        for more in [Attribute::Decrypt(true), Attribute::Unwrap(true), Attribute::Derive(true)] {
            let has = [&GOOD[..5], &[more]].concat();
            assert!(verdict(&has, Origin::Generated, "key").is_err());
            assert_eq!(verdict(&has, Origin::Found, "key"), Ok(()));
        }
    }

    fn ec(curve: ObjectIdentifier, point: &[u8]) -> Vec<Attribute> {
        let curve = curve.to_der().expect("encodes");
        vec![Attribute::KeyType(KeyType::EC), Attribute::EcParams(curve), Attribute::EcPoint(point.to_vec())]
    }

    #[test]
    fn a_bare_point_and_a_wrapped_one_are_the_same_key() {
        // 63 is the length that makes the bare point look like an OCTET STRING.
        for first in [0, 63, 64, 255] {
            let mut point = vec![4, first];
            point.resize(65, 7);
            let wrapped = [&[4, 65][..], &point].concat();
            let key = spki(&ec(P256, &point));
            assert!(key.as_ref().is_some_and(|key| key.ends_with(&point)), "{first}");
            assert_eq!(spki(&ec(P256, &wrapped)), key, "{first}");
        }
    }

    #[test]
    fn a_point_of_another_curve_or_length_is_no_key() {
        assert_eq!(spki(&ec(P256, &[4; 97])), None);
        assert_eq!(spki(&ec(P384, &[4; 65])), None);
        assert_eq!(spki(&ec(EC_PUBLIC_KEY, &[4; 65])), None);
        assert_eq!(spki(&[Attribute::KeyType(KeyType::RSA)]), None);
        assert_eq!(spki(&[]), None);
    }

    proptest! {
        #[test]
        fn any_attributes_give_a_key_or_none(
            kind in 0..4_usize,
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 4),
        ) {
            let kinds = [KeyType::RSA, KeyType::EC, KeyType::EC_EDWARDS, KeyType::AES];
            let _ = spki(&[
                Attribute::KeyType(kinds[kind]),
                Attribute::Modulus(values[0].clone()),
                Attribute::PublicExponent(values[1].clone()),
                Attribute::EcParams(values[2].clone()),
                Attribute::EcPoint(values[3].clone()),
            ]);
        }
    }
}
