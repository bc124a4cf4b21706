//! PEM as the dialect takes it, and chains of other CAs.

use der::{Decode as _, Encode as _};
use policy::key::PublicKey;
use policy::tbs::Certificate;
use rustls_pki_types::pem::{self, SectionKind};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A chain: at least two certificates, each signed by the next.
#[derive(Debug)]
pub struct Chain(Vec<Certificate>);

/// Why a text is no PEM of the right kind, or no chain of certificates for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It cannot be put to the request: too short, out of order, or of another key.
    #[error("bad request")]
    Bad(&'static str),
    /// A block is of another kind.
    #[error("expected PEM block type '{0}'")]
    Kind(&'static str),
    /// A block holds no certificate.
    #[error("could not parse certificate")]
    Parse,
    /// There is no block.
    #[error("could not decode PEM block")]
    Pem,
}

impl Chain {
    /// Reads a chain.
    pub fn read(text: &str) -> Result<Self, ChainError> {
        if text.len() > MOST {
            return Err(ChainError::Bad("it is larger than 48 KiB"));
        }
        let blocks = blocks(text, "CERTIFICATE", &SectionKind::Certificate)?;
        let read = |der: &Vec<u8>| Certificate::from_der(der).map_err(|_| ChainError::Parse);
        let certificates = blocks.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if certificates.len() < 2 {
            return Err(ChainError::Bad("it holds fewer than two certificates"));
        }
        if !certificates.windows(2).all(|pair| is_signed_by(&pair[0], &pair[1]).unwrap_or(false)) {
            return Err(ChainError::Bad("a certificate is not followed by that of its issuer"));
        }
        Ok(Self(certificates))
    }

    /// Whether its first certificate is of this key.
    pub fn fits(&self, key: &PublicKey) -> Result<(), ChainError> {
        match self.leaf().key() {
            Ok(own) if own.spki() == key.spki() => Ok(()),
            _ => Err(ChainError::Bad("its first certificate is of another key than the CSR")),
        }
    }

    /// The first certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// PEM, one block after the other.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(Certificate::to_pem).collect()
    }
}

/// Whether one certificate names the other as its issuer and is signed with its key, of whatever kind that is.
fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> der::Result<bool> {
    let signed = x509_cert::Certificate::from_der(certificate.der())?;
    let signer = x509_cert::Certificate::from_der(issuer.der())?;
    if signed.tbs_certificate().issuer() != signer.tbs_certificate().subject() {
        return Ok(false);
    }
    let key = signer.tbs_certificate().subject_public_key_info();
    let of_key = identifier(&key.algorithm)?;
    let of_signature = identifier(signed.signature_algorithm())?;
    let (key, signature) = (key.subject_public_key.raw_bytes(), signed.signature().raw_bytes());
    let mut fitting = webpki::ALL_VERIFICATION_ALGS.iter().filter(|algorithm| {
        *algorithm.public_key_alg_id() == *of_key && *algorithm.signature_alg_id() == *of_signature
    });
    Ok(fitting.any(|algorithm| algorithm.verify_signature(key, certificate.tbs(), signature).is_ok()))
}

/// What stands within an AlgorithmIdentifier (RFC 5280 section 4.1.1.2).
fn identifier(algorithm: &AlgorithmIdentifierOwned) -> der::Result<Vec<u8>> {
    let der = algorithm.to_der()?;
    Ok(der::asn1::AnyRef::from_der(&der)?.value().to_vec())
}

/// Longest PEM that is taken, in octets: it is kept in one value of the store.
pub(super) const MOST: usize = 48 * 1024;

/// The content of the first block, which must be of this kind. What stands around it is nobody's concern.
pub(super) fn first_block(text: &str, label: &'static str) -> Result<Vec<u8>, ChainError> {
    let kind = if label == "CERTIFICATE" { SectionKind::Certificate } else { SectionKind::Csr };
    Ok(blocks(text, label, &kind)?.swap_remove(0))
}

/// The content of every block, at least one, all of one kind.
fn blocks(text: &str, label: &'static str, kind: &SectionKind) -> Result<Vec<Vec<u8>>, ChainError> {
    let labels = text.split("-----BEGIN ").skip(1).map(|rest| rest.split("-----").next().unwrap_or_default());
    let mut count = 0;
    for found in labels {
        if found != label {
            return Err(ChainError::Kind(label));
        }
        count += 1;
    }
    let (mut rest, mut blocks) = (text.as_bytes(), Vec::new());
    while let Some((found, der)) = pem::from_buf(&mut rest).map_err(|_| ChainError::Pem)? {
        if found == *kind {
            blocks.push(der);
        }
    }
    if count == 0 || blocks.len() != count { Err(ChainError::Pem) } else { Ok(blocks) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, KeyPair, NOW};
    use policy::key::KeyAlgorithm;
    use policy::tbs::Role;

    #[test]
    fn a_chain_goes_from_the_key_up_and_each_certificate_is_signed_by_the_next() {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa] {
            let (ours, other, key) = (Authority::new(), Authority::new(), KeyPair::generate(algorithm));
            let leaf = ours.certificate(Role::Administrator, &key.public(), NOW).to_pem();
            let root = Certificate::from_der(&ours.root()).unwrap().to_pem();
            let foreign = Certificate::from_der(&other.root()).unwrap().to_pem();
            let chain = Chain::read(&format!("{leaf}\n\n{root}")).unwrap();
            assert_eq!(chain.to_pem(), format!("{leaf}{root}"));
            assert_eq!(chain.fits(&key.public()), Ok(()));
            assert!(chain.fits(&KeyPair::generate(KeyAlgorithm::P256).public()).is_err());
            for text in [leaf.clone(), format!("{root}{leaf}"), format!("{leaf}{foreign}"), format!("{leaf}{leaf}")] {
                assert!(matches!(Chain::read(&text), Err(ChainError::Bad(_))), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_pem_of_certificates_is_told_apart() {
        let block = |label: &str, content: &str| format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n");
        let kind = ChainError::Kind("CERTIFICATE");
        for (text, error) in [
            (String::new(), ChainError::Pem),
            ("Bad format".to_owned(), ChainError::Pem),
            ("-----BEGIN CERTIFICATE-----\nAAAA".to_owned(), ChainError::Pem),
            (block("PRIVATE KEY", "MAAA"), kind),
            (block("CERTIFICATE REQUEST", "MAAA"), kind),
            (block("CERTIFICATE", "MAAA"), ChainError::Parse),
        ] {
            assert_eq!(Chain::read(&text).unwrap_err(), error, "{text}");
        }
        assert_eq!(first_block(&block("CERTIFICATE REQUEST", "MAAA"), "CERTIFICATE REQUEST"), Ok(vec![0x30, 0, 0]));
        assert_eq!(
            first_block(&block("CERTIFICATE", "MAAA"), "CERTIFICATE REQUEST"),
            Err(ChainError::Kind("CERTIFICATE REQUEST"))
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_an_answer(text in "(-----BEGIN CERTIFICATE-----|[ -~\n]{0,60}){0,4}") {
            let _ = Chain::read(&text);
        }
    }
}
