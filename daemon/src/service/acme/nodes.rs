//! Orders of registered nodes: an administrator registered their names, so nothing is left to validate.

use std::sync::Arc;

use policy::evidence::{Method, Observation};
use policy::name::Name;
use policy::profile::Profile;

use super::accounts::Account;
use super::error::AcmeError;
use super::orders::by_end;
use super::records::{AuthorizationRecord, AuthorizationStatus, Proof};
use super::tables::{AUTHORIZATIONS, AUTHORIZATIONS_BY_END};
use super::{Acme, Id};
use crate::issuance::orders::OrderRecord;
use crate::service::nodes::Node;
use crate::service::peer::Peer;
use crate::store::Change;
use crate::validation::Wildcard;

/// Version of the code below, in the record of the names that rest on it.
const VERSION: &str = "registration/1";

impl Acme {
    /// The node that asks: the holder of the certificate on the connection, or of the account, if it is
    /// one's own.
    pub fn node_behind(&self, peer: Option<&Peer>, account: &Account) -> Result<Option<Node>, AcmeError> {
        if let Some(node) = peer.map(|peer| self.services.node_of(peer)).transpose()?.flatten() {
            return Ok(Some(node));
        }
        Ok(self.services.node_of_account(&account.record.key.thumbprint())?)
    }

    /// The profile of an order. A node may use uPKI's names, and need not name the profile that it is
    /// registered for.
    pub(super) fn ordered_profile(&self, wish: Option<&str>, node: Option<&Node>) -> Result<Arc<Profile>, AcmeError> {
        let known = |name: &str| self.services.upki.profiles.get(name).map(String::as_str);
        let of_node = node.map(|node| node.registration.profile.as_str());
        let meant = match wish {
            None => of_node,
            Some(name) if known(name).is_some_and(|ours| Some(ours) == of_node) => of_node,
            Some(name) if !self.services.acme.profiles.iter().any(|offered| offered == name) => known(name),
            Some(_) => None,
        };
        let offered = meant.filter(|meant| self.services.acme.profiles.iter().any(|offered| offered == meant));
        self.profile(offered.or(wish))
    }

    /// Whether a name needs no validation: it is one of the node's, and the profile is that of the node
    /// and takes its registration as a proof.
    pub(super) fn is_registered(node: Option<&Node>, name: &Name, profile: &Profile) -> bool {
        node.is_some_and(|node| {
            node.registration.profile == profile.name()
                && node.covers(name)
                && profile.allows_method(name, Method::Registration).is_ok()
        })
    }

    /// Adds the authorization for a name that is registered: valid at once, for one order, and never
    /// found again by another.
    pub(super) fn add_registered(
        &self,
        change: &mut Change,
        account: &Account,
        name: &Name,
        profile: &Profile,
    ) -> Result<String, AcmeError> {
        let now = self.now();
        let id = Id::random(&self.services.random)?.to_string();
        let proof = Proof {
            method: Method::Registration,
            at: now,
            validator: VERSION.to_owned(),
            seen: Observation { address: None, dns: None },
            caa: None,
        };
        let record = AuthorizationRecord {
            account: account.id.clone(),
            name: name.base(),
            wildcard: if name.is_wildcard() { Wildcard::Yes } else { Wildcard::No },
            profile: Some(profile.name().to_owned()),
            expires: now.plus(self.services.acme.order_lifetime.as_secs()),
            status: AuthorizationStatus::Valid,
            challenges: Vec::new(),
            proof: Some(proof),
        };
        change.insert(&AUTHORIZATIONS, &id, &record);
        change.put(&AUTHORIZATIONS_BY_END, by_end(record.expires, &id), &());
        Ok(id)
    }

    /// Whether what an order's registered names rest on still holds: the node may have been deleted, or
    /// lost a name.
    pub(super) fn still_registered(
        &self,
        order: &OrderRecord,
        authorizations: &[Option<AuthorizationRecord>],
    ) -> Result<(), AcmeError> {
        let Some(node) = &order.node else { return Ok(()) };
        let registration = self.services.registration(node)?;
        for (name, authorization) in order.names.iter().zip(authorizations) {
            let proof = authorization.as_ref().and_then(|record| record.proof.as_ref());
            let rests = proof.is_some_and(|proof| proof.method == Method::Registration);
            if rests && !registration.as_ref().is_some_and(|registration| registration.covers(name)) {
                let why = format!("the node `{node}` is no longer registered for {name}: make a new order");
                return Err(AcmeError::Unauthorized(why));
            }
        }
        Ok(())
    }
}
