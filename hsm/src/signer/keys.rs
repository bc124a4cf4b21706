//! The keys a signer serves: what the configuration says of each, and what the token holds.

use std::collections::HashMap;
use std::path::Path;

use policy::key::PublicKey;
use policy::tbs::{Certificate, Issuer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::StartError;
use crate::config;
use crate::pkcs11::{Token, TokenError, TokenKey};
use crate::wire::{KeyStatus, Purpose};

/// A key as the configuration names it, with its certificate.
pub(super) struct Configured {
    label: String,
    purpose: Purpose,
    certificate: Option<Certificate>,
    /// The certificate again, for a key that issues.
    issuer: Option<Issuer>,
    /// For an OCSP key, the label of the issuing key that signed its certificate.
    above: Option<String>,
}

/// The keys of an unsealed signer, by label.
pub(super) struct Keys(HashMap<String, Key>);

/// One key that can sign.
pub(super) struct Key {
    pub(super) token: TokenKey,
    pub(super) purpose: Purpose,
    pub(super) certificate: Option<Certificate>,
    pub(super) issuer: Option<Issuer>,
    /// For an OCSP key, the label of the issuing key that signed its certificate.
    pub(super) above: Option<String>,
}

/// Why the token's keys are not those of the configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    /// The public half of the token's key is not in its certificate.
    #[error("the key `{0}` in the token does not belong to its certificate: correct the configuration")]
    Mismatch(String),
    /// One key would have two purposes.
    #[error("`{0}` and `{1}` are one key in the token, and each key has one purpose: correct the configuration")]
    Shared(String, String),
    /// The token's word.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Reads the certificates that the configuration names.
pub(super) fn configured(keys: &[config::Key]) -> Result<Vec<Configured>, StartError> {
    let mut all = keys
        .iter()
        .map(|key| {
            let certificate = key.certificate.as_deref().map(read).transpose()?;
            let issuer = match (key.purpose, &certificate) {
                (Purpose::Issue, Some(certificate)) => Some(Issuer::from_der(certificate.der()).map_err(|error| {
                    StartError(format!("the certificate of the issuing key `{}` cannot be used: {error}", key.label))
                })?),
                (Purpose::Issue, None) => {
                    return Err(StartError(format!("the issuing key `{}` needs a `certificate`", key.label)));
                }
                _ => None,
            };
            Ok(Configured { label: key.label.clone(), purpose: key.purpose, certificate, issuer, above: None })
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    for index in 0..all.len() {
        if all[index].purpose == Purpose::Ocsp {
            all[index].above = above(&all, all[index].certificate.as_ref());
        }
    }
    Ok(all)
}

/// The label of the issuing key that signed this certificate.
fn above(all: &[Configured], certificate: Option<&Certificate>) -> Option<String> {
    let certificate = certificate?;
    let signed = |one: &&Configured| one.issuer.as_ref().is_some_and(|ca| certificate.verify(ca.key()).is_ok());
    all.iter().find(signed).map(|one| one.label.clone())
}

fn read(path: &Path) -> Result<Certificate, StartError> {
    let refused = |why: String| StartError(format!("the certificate {} cannot be used: {why}", path.display()));
    let der = CertificateDer::from_pem_file(path).map_err(|error| refused(error.to_string()))?;
    Certificate::from_der(&der).map_err(|error| refused(error.to_string()))
}

impl Keys {
    /// Finds every configured key in the token, and checks it against its certificate. What one key
    /// signs must not be taken for what it may not sign, so two labels do not give it two purposes.
    pub(super) fn find(token: &Token, configured: &[Configured]) -> Result<Self, KeysError> {
        let mut keys: HashMap<String, Key> = HashMap::new();
        for Configured { label, purpose, certificate, issuer, above } in configured {
            let found = token.key(label)?;
            if certificate.as_ref().is_some_and(|certificate| certificate.key().as_ref() != Ok(&found.public)) {
                return Err(KeysError::Mismatch(label.clone()));
            }
            let shared = |(_, other): &(&String, &Key)| {
                other.token.public.spki() == found.public.spki() && other.purpose != *purpose
            };
            if let Some((other, _)) = keys.iter().find(shared) {
                return Err(KeysError::Shared(other.clone(), label.clone()));
            }
            let (certificate, issuer, above) = (certificate.clone(), issuer.clone(), above.clone());
            keys.insert(label.clone(), Key { token: found, purpose: *purpose, certificate, issuer, above });
        }
        Ok(Self(keys))
    }

    /// The same keys with the certificates of `configured`, each of which must still be its key's.
    pub(super) fn certified_by(&self, configured: &[Configured]) -> Result<Self, KeysError> {
        let with = |Configured { label, purpose, certificate, issuer, above }: &Configured| {
            let token = self.0.get(label)?.token.clone();
            let fits = certificate.as_ref().is_none_or(|certificate| certificate.key().as_ref() == Ok(&token.public));
            let (certificate, issuer, above) = (certificate.clone(), issuer.clone(), above.clone());
            let key = Key { token, purpose: *purpose, certificate, issuer, above };
            Some(if fits { Ok((label.clone(), key)) } else { Err(KeysError::Mismatch(label.clone())) })
        };
        configured.iter().filter_map(with).collect::<Result<_, _>>().map(Self)
    }

    /// The key with this label.
    pub(super) fn get(&self, label: &str) -> Option<&Key> {
        self.0.get(label)
    }

    /// The one key with this purpose, if there is one.
    pub(super) fn with_purpose(&self, purpose: Purpose) -> Option<&Key> {
        self.0.values().find(|key| key.purpose == purpose)
    }

    /// Whether `public` is one of this signer's own keys.
    pub(super) fn holds(&self, public: &PublicKey) -> bool {
        self.0.values().any(|key| key.token.public.spki() == public.spki())
    }
}

/// What `status` says of the keys.
pub(super) fn status(configured: &[Configured], keys: Option<&Keys>) -> Vec<KeyStatus> {
    configured
        .iter()
        .map(|Configured { label, purpose, certificate, .. }| {
            let seen = keys.and_then(|keys| keys.get(label)).map(|key| key.token.public.spki().to_vec());
            let certified = || Some(certificate.as_ref()?.key().ok()?.spki().to_vec());
            KeyStatus {
                label: label.clone(),
                purpose: *purpose,
                spki: seen.or_else(certified).unwrap_or_default(),
                certificate: certificate.as_ref().map(|certificate| certificate.der().to_vec()),
            }
        })
        .collect()
}
