//! The responder's certificate: short-lived, and renewed before the answers that it vouches for would
//! outlive it.

use std::sync::{Arc, PoisonError};

use hsm::wire::{Actor, KeyStatus, Purpose};
use policy::authority::AuthorityNumber;
use policy::effects::UnixTime;
use policy::key::PublicKey;
use policy::ocsp::{self, OcspError};
use policy::tbs::Certificate;

use super::{AnswerError, Responder};
use crate::issuance::status::Means;
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_SPKI};
use crate::store::{Store, StoreError};

/// The key that signs answers, and the certificate that says it may.
pub(super) struct ResponderCertificate {
    /// Label of the key.
    pub(super) key: Arc<str>,
    /// DER.
    der: Vec<u8>,
    /// Its public key.
    pub(super) public: PublicKey,
    /// byKey, RFC 6960 section 4.2.1.
    pub(super) responder: [u8; 20],
    not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// Longest time from thisUpdate to nextUpdate that the signer signs, in seconds.
    pub(super) longest: u64,
}

impl ResponderCertificate {
    /// The whole OCSPResponse.
    pub(super) fn assemble(&self, data: &[u8], signature: &[u8]) -> Result<Vec<u8>, OcspError> {
        ocsp::assemble(data, self.public.certificate_scheme(), signature, &[&self.der])
    }

    /// Whether a new one is to be had: half of it is over, or what is signed now would be cut short by
    /// its end.
    fn is_due(&self, now: UnixTime, lifetime: u64) -> bool {
        let half = self.not_before.0 + self.not_after.0.saturating_sub(self.not_before.0) / 2;
        now.0 >= half || now.plus(lifetime) > self.not_after
    }
}

impl Responder {
    /// The newest certificate, from memory, if it is valid now: nobody believes what another one vouches for.
    pub(super) async fn certificate(&self) -> Result<Arc<ResponderCertificate>, AnswerError> {
        let now = self.office.clock.now();
        let known = self.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let certificate = match known {
            Some(certificate) if now < certificate.not_after => certificate,
            _ => self.find_certificate().await?,
        };
        let why = match (certificate.not_before <= now, now < certificate.not_after) {
            (true, true) => return Ok(certificate),
            (false, _) => "has not begun: this host's clock is behind",
            (true, false) => "has run out, and could not be renewed yet",
        };
        Err(AnswerError::Later(format!("the certificate of the OCSP key `{}` {why}", certificate.key)))
    }

    /// Reads the newest certificate of the signer's OCSP key from the store.
    async fn find_certificate(&self) -> Result<Arc<ResponderCertificate>, AnswerError> {
        let means = self.office.means().await?;
        let key = self.own_key(&means).ok_or_else(|| {
            AnswerError::Later("the CA signer has no key for OCSP: add one to its configuration".to_owned())
        })?;
        let newest = newest(&self.office.store, &key.spki, key.certificate.as_deref())?;
        let der = newest.ok_or_else(|| {
            AnswerError::Later(format!("there is no certificate for the OCSP key `{}` yet", key.label))
        })?;
        let found = read(&key.label, der, means.bounds.ocsp)
            .map_err(|why| AnswerError::Internal(format!("the OCSP responder's certificate is not usable: {why}")))?;
        let found = Arc::new(found);
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&found));
        Ok(found)
    }

    /// The key that signs for this issuer: an authority has one of its own.
    fn own_key<'a>(&self, means: &'a Means) -> Option<&'a KeyStatus> {
        let own = AuthorityNumber::of_label(&self.office.issuer_key).map(AuthorityNumber::responder_label);
        let is_own = |key: &&KeyStatus| match &own {
            Some(label) => key.label == *label,
            None => !key.label.starts_with(policy::authority::PREFIX),
        };
        means.keys.iter().filter(|key| key.purpose == Purpose::Ocsp).find(is_own)
    }

    /// Has a new certificate made if it is time.
    pub(super) async fn renew_if_due(&self) -> Result<(), AnswerError> {
        let now = self.office.clock.now();
        let lifetime = self.config.lifetime.as_secs();
        let current = self.find_certificate().await;
        let key = match &current {
            Ok(certificate) if !certificate.is_due(now, lifetime) => return Ok(()),
            Ok(certificate) => certificate.key.to_string(),
            Err(_) => {
                let means = self.office.ask_means().await?;
                let key = self.own_key(&means);
                key.ok_or_else(|| AnswerError::Later("the CA signer has no key for OCSP".to_owned()))?.label.clone()
            }
        };
        let actor = Actor { who: "signetd".to_owned(), request_id: String::new() };
        if let Err(error) = self.office.ca.renew_responder(&key, actor).await {
            self.office.failed(&error);
            return Err(error.into());
        }
        let renewed = self.find_certificate().await?;
        tracing::info!(key, not_after = renewed.not_after.0, "the OCSP responder's certificate was renewed");
        Ok(())
    }
}

/// Of the certificates for a key, the one that ends last. A key has few.
fn newest(store: &Store, spki: &[u8], configured: Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError> {
    use aws_lc_rs::digest::{SHA256, digest};
    let prefix = digest(&SHA256, spki);
    let end = crate::store::status::after_prefix(prefix.as_ref());
    let range = (std::ops::Bound::Included(prefix.as_ref()), std::ops::Bound::Excluded(end.as_slice()));
    let mut found: Vec<Vec<u8>> = configured.map(<[u8]>::to_vec).into_iter().collect();
    for (key, _) in store.scan(&CERTIFICATES_BY_SPKI, range, MOST, false)? {
        let Some(row) = store.get(&CERTIFICATES, &key[prefix.as_ref().len()..])? else { continue };
        if row.value.revoked.is_none() {
            found.push(row.value.certificate);
        }
    }
    let end = |der: &Vec<u8>| Certificate::from_der(der).map_or(UnixTime(0), |one| one.validity().not_after());
    Ok(found.into_iter().max_by_key(end))
}

fn read(label: &str, der: Vec<u8>, longest: u64) -> Result<ResponderCertificate, String> {
    let certificate = Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let key = certificate.key().map_err(|error| error.to_string())?;
    Ok(ResponderCertificate {
        key: label.into(),
        responder: ocsp::responder_id(&key),
        public: key,
        not_before: certificate.validity().not_before(),
        not_after: certificate.validity().not_after(),
        longest,
        der,
    })
}

/// Certificates of one OCSP key that are looked at: with one a week, many years.
const MOST: usize = 1000;
