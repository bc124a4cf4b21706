//! Handing out certificates (RFC 8555 section 7.4.2).

use policy::tbs::Certificate;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;
use super::finalize::actor;
use crate::issuance::orders::ORDERS;
use crate::store::tables::{CERTIFICATES, CertificateRecord};

impl Acme {
    /// The certificate of an order and a chain, the root left out unless the chain holds it, as PEM
    /// (RFC 8555 section 9.1), for the account that ordered it. Chains are counted from 0, the
    /// default one; see [`chain_count`](Self::chain_count).
    pub fn certificate_chain(&self, account: &Account, order: &str, chain: usize) -> Result<String, AcmeError> {
        let record = self.issued(order)?;
        if record.record.actor != actor(&account.id) {
            return Err(AcmeError::Unauthorized("the certificate was ordered by another account".into()));
        }
        self.chain_of(&record, order, chain)
    }

    /// How many chains there are.
    pub fn chain_count(&self) -> usize {
        1 + self.services.alternate_chains.now().len()
    }

    pub(super) fn chain_of(&self, record: &CertificateRecord, order: &str, chain: usize) -> Result<String, AcmeError> {
        let unreadable = |error| AcmeError::Internal(format!("the certificate of {order} cannot be read: {error}"));
        let mut pem = Certificate::from_der(&record.certificate).map_err(unreadable)?.to_pem();
        match chain.checked_sub(1) {
            None => {
                let issuer = self.services.issuer.now();
                pem.push_str(&Certificate::from_der(issuer.certificate()).map_err(unreadable)?.to_pem());
            }
            Some(other) => {
                let others = self.services.alternate_chains.now();
                pem.push_str(others.get(other).ok_or(AcmeError::NotFound("chain"))?);
            }
        }
        Ok(pem)
    }

    /// The certificate of an order.
    pub(super) fn issued(&self, order: &str) -> Result<CertificateRecord, AcmeError> {
        let unknown = AcmeError::NotFound("certificate");
        let Some(serial) = self.services.store.get(&ORDERS, order)?.and_then(|row| row.value.certificate) else {
            return Err(unknown);
        };
        Ok(self.services.store.get(&CERTIFICATES, serial.as_bytes())?.ok_or(unknown)?.value)
    }
}
