//! The keys a signer serves: what the configuration says of each, and what the token holds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use policy::key::PublicKey;
use policy::tbs::{Certificate, Issuer};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::StartError;
use super::authorities::Authorities;
use crate::config;
use crate::journal::{Authority, Standing};
use crate::pkcs11::{Token, TokenError, TokenKey};
use crate::wire::{KeyStatus, Purpose, Refusal};

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
#[derive(Clone)]
pub(super) struct Key {
    pub(super) token: TokenKey,
    pub(super) purpose: Purpose,
    pub(super) certificate: Option<Certificate>,
    pub(super) issuer: Option<Issuer>,
    /// For an OCSP key, the label of the issuing key that signed its certificate.
    pub(super) above: Option<String>,
    /// The authority whose key it is, if it is one's: what the journal says of it.
    pub(super) authority: Option<Arc<Authority>>,
}

impl Key {
    /// Refuses an issuing key whose authority signs no certificates.
    pub(super) fn may_issue(&self) -> Result<(), Refusal> {
        match self.authority.as_deref() {
            None | Some(Authority { standing: Standing::Enabled, .. }) => Ok(()),
            Some(Authority { number, standing, .. }) => {
                Err(Refusal::Policy(format!("authority {number} signs no certificates: it is {}", standing.as_str())))
            }
        }
    }
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
            let key = Key { token: found, purpose: *purpose, certificate, issuer, above, authority: None };
            keys.insert(label.clone(), key);
        }
        Ok(Self(keys))
    }

    /// The same keys with the certificates of `configured`, each of which must still be its key's.
    pub(super) fn certified_by(&self, configured: &[Configured]) -> Result<Self, KeysError> {
        let with = |Configured { label, purpose, certificate, issuer, above }: &Configured| {
            let token = self.0.get(label)?.token.clone();
            let fits = certificate.as_ref().is_none_or(|certificate| certificate.key().as_ref() == Ok(&token.public));
            let (certificate, issuer, above) = (certificate.clone(), issuer.clone(), above.clone());
            let key = Key { token, purpose: *purpose, certificate, issuer, above, authority: None };
            Some(if fits { Ok((label.clone(), key)) } else { Err(KeysError::Mismatch(label.clone())) })
        };
        let made_here = self.0.iter().filter(|(_, key)| key.authority.is_some());
        let made_here = made_here.map(|(label, key)| Ok((label.clone(), key.clone())));
        configured.iter().filter_map(with).chain(made_here).collect::<Result<_, _>>().map(Self)
    }

    /// The same keys and those of every authority that has some. One whose keys are not in the token does
    /// nothing, and stops nobody else.
    pub(super) fn with_authorities(mut self, token: &Token, all: &Authorities) -> Result<Self, TokenError> {
        for authority in all.values().filter(|authority| authority.standing != Standing::Planned) {
            let (label, responder) = (authority.number.label(), authority.number.responder_label());
            let found = (token.key_if_there(&label)?, token.key_if_there(&responder)?);
            match found {
                (Some(key), Some(responder))
                    if key.public.spki() == authority.spki && responder.public.spki() == authority.responder =>
                {
                    self = self.with_authority(authority, (key, responder));
                }
                _ => tracing::error!(
                    label,
                    "the keys of this authority are not in the token: bring the token back as it was, or retire it"
                ),
            }
        }
        Ok(self)
    }

    /// The same keys and those of this authority, as the journal says what they are for.
    pub(super) fn with_authority(&self, authority: &Authority, (key, responder): (TokenKey, TokenKey)) -> Self {
        let mut keys = self.0.clone();
        // What was taken into the journal could be read.
        let own = authority.chain.first().map(|own| &own.0);
        let certificate = own.and_then(|der| Certificate::from_der(der).ok());
        let issuer = own.and_then(|der| Issuer::from_der(der).ok());
        let label = authority.number.label();
        let authority = Some(Arc::new(authority.clone()));
        let responder = Key {
            token: responder,
            purpose: Purpose::Ocsp,
            certificate: None,
            issuer: None,
            above: Some(label.clone()),
            authority: authority.clone(),
        };
        keys.insert(responder.token.label.clone(), responder);
        keys.insert(label, Key { token: key, purpose: Purpose::Issue, certificate, issuer, above: None, authority });
        Self(keys)
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

/// What `status` says of the keys of an authority.
pub(super) fn authority_status(authority: &Authority) -> [KeyStatus; 2] {
    let status =
        |label: String, purpose, spki: &Vec<u8>| KeyStatus { label, purpose, spki: spki.clone(), certificate: None };
    [
        status(authority.number.label(), Purpose::Issue, &authority.spki),
        status(authority.number.responder_label(), Purpose::Ocsp, &authority.responder),
    ]
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
