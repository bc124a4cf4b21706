//! What uPKI's forms show to whoever knows a URL, where they are switched on: plain GET on orders,
//! authorizations and certificates, and the key authorizations of pending challenges.

use super::Acme;
use super::authorizations::{Authorization, Expired};
use super::error::AcmeError;
use super::orders::Order;
use super::records::AuthorizationStatus;
use super::tables::{ACCOUNTS, AUTHORIZATIONS, CHALLENGE_TOKENS};

impl Acme {
    /// The order of that id, for anybody.
    pub fn public_order(&self, id: &str) -> Result<Order, AcmeError> {
        Ok(self.find_order(id)?.ok_or(AcmeError::NotFound("order"))?.0)
    }

    /// The authorization of that id, for anybody.
    pub fn public_authorization(&self, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.services.store.get(&AUTHORIZATIONS, id)?.ok_or(AcmeError::NotFound("authorization"))?;
        Ok(self.view(id, row.value))
    }

    /// The certificate of an order and the default chain, PEM, for anybody.
    pub fn public_chain(&self, order: &str) -> Result<String, AcmeError> {
        self.chain_of(&self.issued(order)?, order, 0)
    }

    /// The key authorization of a pending challenge (RFC 8555 section 8.1), by its token.
    pub fn key_authorization(&self, token: &str) -> Result<String, AcmeError> {
        let unknown = || AcmeError::NotFound("challenge");
        let id = self.services.store.get(&CHALLENGE_TOKENS, token)?.ok_or_else(unknown)?.value;
        let authorization = self.public_authorization(&id)?;
        if authorization.record.status != AuthorizationStatus::Pending || authorization.expired == Expired::Yes {
            return Err(unknown());
        }
        let account = self.services.store.get(&ACCOUNTS, &authorization.record.account)?.ok_or_else(unknown)?.value;
        Ok(format!("{token}.{}", account.key.thumbprint()))
    }
}
