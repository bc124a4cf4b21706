//! Keys made for whoever asks: in software, from the operating system's generator. They are the
//! customer's own, exist in memory until the answer is sent, and are neither stored nor logged.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RsaKeyPair,
};
use policy::key::PublicKey;
use zeroize::Zeroizing;

pub use policy::key::{KeyKind, KeyKindError};

/// A private key on its way to its owner: PKCS#8, wiped when it is dropped.
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// PEM, `PRIVATE KEY` (RFC 7468 section 10).
    pub fn to_pem(&self) -> Zeroizing<String> {
        let text = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &self.0);
        Zeroizing::new(text.expect("the label is one, and a String takes everything"))
    }
}

/// A fresh key pair. Blocks: an RSA key of 4096 bits takes seconds.
pub(super) fn generate(kind: KeyKind) -> Result<(PrivateKey, PublicKey), Unspecified> {
    let (private, spki) = match kind {
        KeyKind::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            (pair.to_pkcs8v1()?.as_ref().to_vec(), pair.public_key().as_der()?.as_ref().to_vec())
        }
        KeyKind::P256 => elliptic(&EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?)?,
        KeyKind::P384 => elliptic(&EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)?)?,
        KeyKind::Rsa2048 => rsa(KeySize::Rsa2048)?,
        KeyKind::Rsa3072 => rsa(KeySize::Rsa3072)?,
        KeyKind::Rsa4096 => rsa(KeySize::Rsa4096)?,
    };
    let private = PrivateKey(Zeroizing::new(private));
    Ok((private, PublicKey::from_spki(&spki).map_err(|_| Unspecified)?))
}

fn elliptic(pair: &EcdsaKeyPair) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    Ok((pair.to_pkcs8v1()?.as_ref().to_vec(), pair.public_key().as_der()?.as_ref().to_vec()))
}

fn rsa(size: KeySize) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let pair = RsaKeyPair::generate(size)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?.as_ref().to_vec();
    Ok((private, pair.public_key().as_der()?.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_every_kind_is_one_that_the_policy_takes_and_openssl_reads() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        for kind in [KeyKind::Ed25519, KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
            let (private, public) = generate(kind).unwrap();
            assert_eq!(public.algorithm(), kind.algorithm());
            let mut openssl = Command::new("openssl")
                .args(["pkey", "-pubout", "-outform", "DER"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            openssl.stdin.take().unwrap().write_all(private.to_pem().as_bytes()).unwrap();
            let output = openssl.wait_with_output().unwrap();
            assert!(output.status.success(), "{kind}");
            assert_eq!(output.stdout, public.spki(), "{kind}");
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in KeyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("rsa1024".parse::<KeyKind>().unwrap_err().to_string().contains("rsa2048"));
    }
}
