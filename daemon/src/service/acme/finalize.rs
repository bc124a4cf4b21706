//! Finalizing an order (RFC 8555 section 7.4).
//!
//! One task holds the order from the first look to the last write, so whoever comes second finds
//! out what came of the first. It answers as soon as the outcome is known, or after the configured
//! patience that the order is `processing`: from then on it goes on until there is an outcome, over
//! crashes too (see [`completion`](super::completion)).

use std::sync::Arc;

use policy::csr::{Csr, CsrError};
use policy::evidence::{AuthorizationRecord, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::csr_matches;
use policy::tbs::Certificate;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Acme;
use super::accounts::Account;
use super::eab::Charge;
use super::error::AcmeError;
use super::orders::{Order, OrderStatus, WhyInvalid};
use crate::issuance::Submission;
use crate::issuance::orders::UNDERWAY;
use crate::service::RequestId;
use crate::store::tables::CERTIFICATES;

/// What a request to finalize leads to.
enum Prepared {
    /// The certificate is to be made.
    Issue(Box<Submission>),
    /// The request was made before, and its answer lost.
    Repeated,
}

impl Acme {
    /// Issues the certificate of an order that is ready. When it returns, the order is valid, or
    /// processing.
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
        let patience = self.services.acme.orders.finalize_patience;
        let held = loop {
            match timeout(patience, self.lock_order(id)).await {
                Ok(held) => break held,
                // Somebody else finalizes it, which may be this client's last request.
                Err(_) => {
                    let (order, _) = self.read_order(account, id)?;
                    if order.status != OrderStatus::Ready {
                        return self.repeated(order, csr.key());
                    }
                }
            }
        };
        let (answer, answered) = oneshot::channel();
        let (acme, account, id) = (self.clone(), account.clone(), id.to_owned());
        tokio::spawn(async move {
            let _held = held;
            acme.finalize_held(&account, &id, &csr, &request, answer).await;
        });
        answered.await.unwrap_or_else(|_| Err(AcmeError::Internal("the task that finalized an order failed".into())))
    }

    async fn finalize_held(
        &self,
        account: &Account,
        id: &str,
        csr: &Csr,
        request: &RequestId,
        answer: oneshot::Sender<Result<Order, AcmeError>>,
    ) {
        let submission = match self.prepare(account, id, csr, request) {
            Ok(Prepared::Issue(submission)) => *submission,
            Ok(Prepared::Repeated) => {
                return drop(
                    answer.send(self.read_order(account, id).and_then(|read| self.repeated(read.0, csr.key()))),
                );
            }
            Err(error) => return drop(answer.send(Err(error))),
        };
        if let Err(error) = self.charge(account, Charge::Certificate(id)).await {
            return drop(answer.send(Err(error)));
        }
        let outcome = {
            let mut work = std::pin::pin!(self.issue(&submission));
            let processing = match timeout(self.services.acme.orders.finalize_patience, &mut work).await {
                Ok(outcome) => return drop(answer.send(self.outcome(account, id, csr.key(), outcome))),
                Err(_) => self.mark_processing(id, &submission).await,
            };
            if let Err(error) = processing {
                // It cannot be promised to go on: then the client waits for what comes of it.
                tracing::warn!(%error, order = id, "an order cannot be marked as processing");
                return drop(answer.send(self.outcome(account, id, csr.key(), work.await)));
            }
            drop(answer.send(self.read_order(account, id).map(|read| read.0)));
            work.await
        };
        self.complete(id, &submission, outcome).await;
    }

    /// The order after its issuance came to an end, for whoever waits for it.
    fn outcome(
        &self,
        account: &Account,
        id: &str,
        key: &PublicKey,
        outcome: Result<(), AcmeError>,
    ) -> Result<Order, AcmeError> {
        match outcome {
            Ok(()) => Ok(self.read_order(account, id)?.0),
            // The journal had it before this attempt.
            Err(AcmeError::Completed) => self.repeated(self.read_order(account, id)?.0, key),
            Err(error) => Err(error),
        }
    }

    /// Everything that can be checked before anything is signed.
    fn prepare(&self, account: &Account, id: &str, csr: &Csr, request: &RequestId) -> Result<Prepared, AcmeError> {
        let (order, authorizations) = self.read_order(account, id)?;
        if order.status != OrderStatus::Ready {
            return Ok(Prepared::Repeated);
        }
        // A profile that was taken away since (P-03).
        let profile = self.profile(Some(&order.record.profile))?;
        let names = order.record.names.clone();
        self.within_bounds(account, &names, Some(profile.name()))?;
        self.still_registered(&order.record, &authorizations)?;
        csr_matches(csr, &names).map_err(|refusal| AcmeError::BadCsr(refusal.why))?;
        let key = csr.key();
        profile.allows_key(key).map_err(|refusal| AcmeError::BadCsr(refusal.why))?;
        if self.is_account_key(&key.spki_sha256())? {
            return Err(AcmeError::BadCsr(
                "the CSR's key is the key of an account: make one for the certificate alone".into(),
            ));
        }
        if self.is_ca_key(key.spki()) {
            return Err(AcmeError::BadCsr("the CSR's key is one of this CA's own: make another".into()));
        }
        let requested = order.record.requested;
        profile.allows_validity(requested, self.services.issuer.now().validity(), self.now()).map_err(|refusal| {
            AcmeError::OrderNotReady(format!(
                "{}: the time for what the order asks is over; make a new one",
                refusal.why
            ))
        })?;
        let record = AuthorizationRecord {
            actor: actor(&account.id),
            request_id: request.to_string(),
            order: Some(id.to_owned()),
            subject: None,
            replaces: None,
            node: order.record.node.clone(),
            requester: None,
            names: evidence(&names, authorizations)?,
        };
        let common_name = self.common_name(profile.name(), &record);
        let profile = profile.name().to_owned();
        let submission = Submission { profile, key: key.clone(), names, common_name, requested, record };
        Ok(Prepared::Issue(Box::new(submission)))
    }

    /// The answer for an order that cannot be finalized. If its certificate, or the one that is being
    /// made, is for the same key, the client repeats a request whose answer it lost, and gets it.
    fn repeated(&self, order: Order, key: &PublicKey) -> Result<Order, AcmeError> {
        let same = match order.record.certificate {
            Some(serial) => {
                let row = self.services.store.get(&CERTIFICATES, serial.as_bytes())?;
                row.is_some_and(|row| {
                    Certificate::from_der(&row.value.certificate)
                        .is_ok_and(|certificate| certificate.key().is_ok_and(|certified| certified == *key))
                })
            }
            None if order.status == OrderStatus::Processing => {
                let row = self.services.store.get(&UNDERWAY, &order.id)?;
                row.is_some_and(|row| row.value.key == key.spki())
            }
            None => false,
        };
        if same { Ok(order) } else { Err(AcmeError::OrderNotReady(not_ready(&order.status))) }
    }
}

impl Acme {
    /// A node keeps its common name, if it is one of the names and the profile takes what is asked for;
    /// ACME has no other way to ask for one.
    pub(super) fn common_name(&self, profile: &str, record: &AuthorizationRecord) -> Option<String> {
        let profiles = self.services.profiles.now();
        let profile = profiles.get(profile)?;
        let node = record.node.as_ref().filter(|_| profile.gives_requested_common_name())?;
        record.names.iter().any(|evidence| evidence.name.to_string() == *node).then(|| node.clone())
    }
}

/// One proof a name, from the authorization for that name (I1).
fn evidence(
    names: &[Name],
    authorizations: Vec<Option<super::records::AuthorizationRecord>>,
) -> Result<Vec<NameEvidence>, AcmeError> {
    let proofs = authorizations.into_iter().map(|record| record.and_then(|record| record.proof));
    let evidence = names.iter().cloned().zip(proofs).map(|(name, proof)| {
        let missing = || AcmeError::Internal("an order is ready without a valid authorization".into());
        let proof = proof.ok_or_else(missing)?;
        Ok(NameEvidence {
            name,
            method: proof.method,
            at: proof.at,
            validator: proof.validator,
            seen: Some(proof.seen),
            caa: proof.caa,
        })
    });
    evidence.collect()
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
        OrderStatus::Processing => "the order is processing: it was finalized with another key, wait for it".into(),
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
        WhyInvalid::Challenges(failures) => {
            let failures =
                failures.iter().map(|(name, failure)| format!("control of {name} was not shown: {}", failure.detail));
            failures.collect::<Vec<_>>().join("; ")
        }
        WhyInvalid::Expired => "it was not finalized in time; make a new order".into(),
        WhyInvalid::Failed(failure) => failure.detail.clone(),
    }
}
