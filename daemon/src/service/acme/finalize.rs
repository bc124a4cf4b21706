//! Finalizing an order (RFC 8555 section 7.4) and handing out its certificate (7.4.2).

use std::sync::Arc;

use policy::csr::{Csr, CsrError};
use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::csr_matches;
use policy::serial::Serial;
use policy::tbs::Certificate;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::orders::{Order, OrderStatus, WhyInvalid};
use super::tables::AuthorizationState;
use crate::issuance::{IssueError, Submission};
use crate::service::RequestId;
use crate::store::tables::{CERTIFICATES, CertificateRecord};

impl Acme {
    /// Issues the certificate of an order that is ready. When it returns, the order is valid.
    ///
    /// The work runs in a task of its own that holds the order: if the client hangs up, the order
    /// is completed all the same, and nobody finalizes it a second time meanwhile.
    pub async fn finalize(
        self: &Arc<Self>,
        account: &Account,
        id: &str,
        csr: &[u8],
        request: RequestId,
    ) -> Result<Order, AcmeError> {
        let csr = Csr::from_der(csr).map_err(bad_csr)?;
        let (acme, account, id) = (self.clone(), account.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            let _held = acme.lock_order(&id).await;
            acme.finalize_held(&account, &id, &csr, &request).await
        });
        task.await.unwrap_or_else(|_| Err(AcmeError::Internal("the task that finalized an order failed".into())))
    }

    async fn finalize_held(
        &self,
        account: &Account,
        id: &str,
        csr: &Csr,
        request: &RequestId,
    ) -> Result<Order, AcmeError> {
        let (mut order, authorizations) = self.read_order(account, id)?;
        if order.status != OrderStatus::Ready {
            return self.repeated(order, csr.key());
        }
        // A profile that was taken away since (P-03).
        self.profile(Some(&order.record.profile))?;
        let names: Vec<Name> = order.record.names.iter().cloned().map(Name::Dns).collect();
        csr_matches(csr, &names).map_err(|refusal| AcmeError::BadCsr(refusal.why))?;
        let key = csr.key();
        if self.is_account_key(&key.spki_sha256())? {
            return Err(AcmeError::BadCsr(
                "the CSR's key is the key of an account: make one for the certificate alone".into(),
            ));
        }
        if self.is_ca_key(key.spki()) {
            return Err(AcmeError::BadCsr("the CSR's key is one of this CA's own: make another".into()));
        }
        // One proof a name, from the authorization for that name (I1).
        let evidence = authorizations.into_iter().map(|authorization| match authorization.state {
            AuthorizationState::Valid { at, validator } => Ok(NameEvidence {
                name: Name::Dns(authorization.name),
                method: Method::Http01,
                at,
                validator,
                seen: None,
                caa: None,
            }),
            _ => Err(AcmeError::Internal("an order is ready without a valid authorization".into())),
        });
        let record = AuthorizationRecord {
            actor: actor(&account.id),
            request_id: request.to_string(),
            order: Some(id.to_owned()),
            names: evidence.collect::<Result<_, _>>()?,
        };
        let submission =
            Submission { profile: order.record.profile.clone(), key: key.clone(), names, common_name: None, record };
        let released = match self.pipeline.issue(submission).await {
            // The journal had it before this attempt.
            Err(IssueError::Completed) => return self.repeated(self.read_order(account, id)?.0, key),
            issued => issued?,
        };
        self.services.metrics.certificate_issued();
        order.record.certificate = Some(released.serial);
        order.status = OrderStatus::Valid;
        Ok(order)
    }

    /// The answer for an order that cannot be finalized. If its certificate is for the same key, the
    /// client repeats a request whose answer it lost, and gets that answer.
    fn repeated(&self, order: Order, key: &PublicKey) -> Result<Order, AcmeError> {
        if let Some(serial) = order.record.certificate
            && let Some(row) = self.services.store.get(&CERTIFICATES, serial.as_bytes())?
            && Certificate::from_der(&row.value.certificate)
                .is_ok_and(|certificate| certificate.key().is_ok_and(|certified| certified == *key))
        {
            return Ok(order);
        }
        Err(AcmeError::OrderNotReady(not_ready(&order.status)))
    }

    /// A certificate and its chain, the root left out, as PEM (RFC 8555 section 9.1), for the
    /// account that ordered it.
    pub fn certificate_chain(&self, account: &Account, serial: &str) -> Result<String, AcmeError> {
        let record = self.certificate(account, serial)?;
        let unreadable = |error| AcmeError::Internal(format!("the certificate {serial} cannot be read: {error}"));
        let mut chain = Certificate::from_der(&record.certificate).map_err(unreadable)?.to_pem();
        chain.push_str(&self.issuer_pem);
        Ok(chain)
    }

    fn certificate(&self, account: &Account, serial: &str) -> Result<CertificateRecord, AcmeError> {
        let serial: Serial = serial.parse().map_err(|_| AcmeError::NotFound("certificate"))?;
        let row = self.services.store.get(&CERTIFICATES, serial.as_bytes())?;
        let record = row.ok_or(AcmeError::NotFound("certificate"))?.value;
        if record.record.actor != actor(&account.id) {
            return Err(AcmeError::Unauthorized("the certificate was ordered by another account".into()));
        }
        Ok(record)
    }
}

/// How an account is called in authorization records.
pub(super) fn actor(account: &str) -> String {
    format!("acme:{account}")
}

fn bad_csr(error: CsrError) -> AcmeError {
    match error {
        CsrError::Key(error) => AcmeError::BadPublicKey(format!("the CSR's key is refused: {error}")),
        error => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            AcmeError::BadCsr(text)
        }
    }
}

fn not_ready(status: &OrderStatus) -> String {
    match status {
        OrderStatus::Pending => "the order is pending: its authorizations are not all valid yet".into(),
        OrderStatus::Ready => "the order is ready".into(),
        OrderStatus::Valid => "the order is valid already: fetch its certificate".into(),
        OrderStatus::Invalid(why) => format!("the order is invalid: {}", why_invalid(why)),
    }
}

/// One sentence.
pub fn why_invalid(why: &WhyInvalid) -> String {
    match why {
        WhyInvalid::Authorization(name) => {
            format!("the authorization for {name} is expired or deactivated; make a new order")
        }
        WhyInvalid::Challenge(name, failure) => format!("control of {name} was not shown: {}", failure.detail),
        WhyInvalid::Expired => "it was not finalized in time; make a new order".into(),
    }
}
