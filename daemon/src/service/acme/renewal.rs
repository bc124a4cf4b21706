//! When certificates should be renewed, and which orders renew them (ACME Renewal Information,
//! RFC 9773).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode as _;
use policy::name::Name;
use policy::profile::{RenewalWindow, default_renewal_window};
use policy::serial::Serial;
use policy::tbs::Certificate;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::finalize::actor;
use super::identifiers::cut;
use super::orders::OrderStatus;
use super::tables::REPLACEMENTS;
use crate::store::Change;
use crate::store::tables::{CERTIFICATES, CertificateRecord};

/// Longest certificate identifier that is read: longer ones name no certificate of anybody.
const MAX_ID: usize = 256;

/// The length of a window that is over: a certificate that must be replaced at once.
const AT_ONCE: u64 = 3600;

/// The identifier of a certificate (RFC 9773 section 4.1): authority key identifier and serial
/// number, each in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CertificateId {
    key_identifier: Vec<u8>,
    serial: Vec<u8>,
}

impl CertificateId {
    fn parse(text: &str) -> Result<Self, AcmeError> {
        let malformed = || {
            let text = cut(text, 64);
            AcmeError::Malformed(format!(
                "`{text}` names no certificate: send its authority key identifier, a dot and its serial number, both in base64url"
            ))
        };
        let (key_identifier, serial) = text.split_once('.').filter(|_| text.len() <= MAX_ID).ok_or_else(malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|octets| !octets.is_empty());
        let (key_identifier, serial) = decode(key_identifier).zip(decode(serial)).ok_or_else(malformed)?;
        Ok(Self { key_identifier, serial })
    }
}

/// The serial number in a certificate identifier.
pub(super) fn replaced_serial(id: &str) -> Option<Serial> {
    Serial::from_slice(&CertificateId::parse(id).ok()?.serial).ok()
}

impl Acme {
    /// When the certificate of that identifier should be renewed. Anybody may ask.
    pub fn renewal_window(&self, id: &str) -> Result<RenewalWindow, AcmeError> {
        let record = self.identified(id)?.ok_or(AcmeError::NotFound("certificate"))?;
        let certificate = Certificate::from_der(&record.certificate)
            .map_err(|error| AcmeError::Internal(format!("{} cannot be read: {error}", record.serial)))?;
        // Stable, so told from what is recorded: the moment at which it had to be replaced.
        let at_once = match &record.revoked {
            Some(revocation) => Some(revocation.at),
            None if self.services.retiring.contains(&record.issuer) => Some(record.at),
            None => None,
        };
        if let Some(at) = at_once {
            return Ok(RenewalWindow { opens: at.minus(2 * AT_ONCE), closes: at.minus(AT_ONCE) });
        }
        let validity = certificate.validity();
        let profiles = self.services.profiles.now();
        let profile = profiles.get(&record.profile);
        Ok(profile.map_or_else(|| default_renewal_window(validity), |profile| profile.renewal_window(validity)))
    }

    /// Notes in the change that the order replaces a certificate (RFC 9773 section 5): of the same
    /// account, with a name in common, and not replaced before by an order that can still succeed
    /// or has.
    pub(super) fn replace(
        &self,
        change: &mut Change,
        account: &Account,
        order: &str,
        replaced: &str,
        names: &[Name],
    ) -> Result<(), AcmeError> {
        let Some(record) = self.identified(replaced)? else {
            return Err(AcmeError::Malformed("`replaces` names no certificate of this CA".into()));
        };
        if record.record.actor != actor(&account.id) {
            return Err(AcmeError::Unauthorized("the certificate to be replaced belongs to another account".into()));
        }
        if !record.record.names.iter().any(|evidence| names.contains(&evidence.name)) {
            return Err(AcmeError::Malformed(
                "the order has no name in common with the certificate it replaces".into(),
            ));
        }
        let key = record.serial.as_bytes();
        match self.services.store.get(&REPLACEMENTS, key)? {
            None => change.insert(&REPLACEMENTS, key, &order.to_owned()),
            Some(row) => {
                // An order that failed, or is gone, gives it free.
                let before = self.find_order(&row.value)?;
                if before.is_some_and(|(before, _)| !matches!(before.status, OrderStatus::Invalid(_))) {
                    return Err(AcmeError::AlreadyReplaced);
                }
                change.update(&REPLACEMENTS, key, row.version, &order.to_owned());
            }
        }
        Ok(())
    }

    /// The certificate of that identifier, if it is one of ours.
    fn identified(&self, id: &str) -> Result<Option<CertificateRecord>, AcmeError> {
        let id = CertificateId::parse(id)?;
        let Ok(serial) = Serial::from_slice(&id.serial) else { return Ok(None) };
        let row = self.services.store.get(&CERTIFICATES, serial.as_bytes())?;
        Ok(row.map(|row| row.value).filter(|record| {
            authority_key_identifier(&record.certificate).is_some_and(|octets| octets == id.key_identifier)
        }))
    }
}

fn authority_key_identifier(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let (_, extension) = certificate.tbs_certificate().get_extension::<AuthorityKeyIdentifier>().ok()??;
    Some(extension.key_identifier?.as_bytes().to_vec())
}
