//! Revocation by ACME clients (RFC 8555 section 7.6).

use hsm::wire::Actor;
use policy::name::Name;
use policy::serial::Serial;
use policy::tbs::Certificate;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::finalize::actor;
use super::key::AccountKey;
use crate::issuance::ca::Done;
use crate::revocation;
use crate::service::RequestId;
use crate::store::tables::CERTIFICATES;

/// Who asks for a revocation.
#[derive(Clone, Debug)]
pub enum Requester {
    /// An account.
    Account(Account),
    /// The holder of the certificate's own key.
    CertificateKey(AccountKey),
}

/// Reason codes that a subscriber can give (RFC 5280 section 5.3.1): unspecified, keyCompromise,
/// affiliationChanged, superseded, cessationOfOperation. The others are the CA's to say.
const REASONS: [u8; 5] = [0, 1, 3, 4, 5];

impl Acme {
    /// Revokes a certificate, given as DER.
    pub async fn revoke(
        &self,
        requester: Requester,
        der: &[u8],
        reason: Option<i64>,
        request: RequestId,
    ) -> Result<(), AcmeError> {
        let certificate = Certificate::from_der(der)
            .map_err(|_| AcmeError::Malformed("`certificate` is not the DER of a certificate".into()))?;
        let unknown = AcmeError::NotFound("certificate of this CA");
        let Ok(serial) = Serial::from_slice(certificate.serial()) else { return Err(unknown) };
        let Some(row) = self.services.store.get(&CERTIFICATES, serial.as_bytes())? else { return Err(unknown) };
        // The same serial in other bytes is somebody's forgery.
        if row.value.certificate != der {
            return Err(unknown);
        }
        let who = match requester {
            Requester::Account(account) => {
                if row.value.record.actor != actor(&account.id) && !self.holds_all(&account, certificate.names())? {
                    return Err(AcmeError::Unauthorized(
                        "the certificate belongs to another account, and yours does not hold valid authorizations for all of its names".into(),
                    ));
                }
                actor(&account.id)
            }
            Requester::CertificateKey(key) => {
                let key = key.check()?;
                if certificate.key().ok().is_none_or(|certified| certified.spki() != key.spki()) {
                    return Err(AcmeError::Unauthorized("the request is not signed with the certificate's key".into()));
                }
                "certificate-key".to_owned()
            }
        };
        let reason = match reason {
            None => None,
            Some(code) => Some(
                REASONS
                    .into_iter()
                    .find(|allowed| i64::from(*allowed) == code)
                    .ok_or_else(|| AcmeError::BadRevocationReason(code.to_string()))?,
            ),
        };
        if row.value.revoked.is_some() {
            return Err(AcmeError::AlreadyRevoked);
        }
        let actor = Actor { who, request_id: request.to_string() };
        let services = &self.services;
        match revocation::revoke(&services.ca, &services.store, serial, reason, self.now(), actor).await? {
            Done::Before => Err(AcmeError::AlreadyRevoked),
            Done::Now => Ok(()),
        }
    }

    /// Whether the account holds a valid authorization for every name.
    fn holds_all(&self, account: &Account, names: &[Name]) -> Result<bool, AcmeError> {
        for name in names {
            if self.authorized(&account.id, name, self.now())?.is_none() {
                return Ok(false);
            }
        }
        Ok(!names.is_empty())
    }
}
