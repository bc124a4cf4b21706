//! Nodes: machines and people that an administrator registered, with the names that they may have. A
//! node proves to be one by a one-time seed, by a certificate that it has, or by its ACME account.

mod certify;
mod records;
mod seeds;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use hsm::wire::Act;
use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::name::Name;
use policy::registration::{CommonName, Registration};
use policy::serial::Serial;

use self::records::{NODES, NODES_BY_ACCOUNT, NodeRecord};
use super::acme::Id;
use super::peer::Peer;
use super::revocation::Deed;
use super::rights::Permitted;
use super::{Failure, Services};
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_NODE, CertificateRecord};
use crate::store::{Change, StoreError, Versioned};

pub use certify::{Certified, CertifyError, Request};
pub use records::Deleted;
pub use seeds::{LONGEST as LONGEST_LIFETIME, Seed, SeedListed, SeedStanding, USUAL as USUAL_LIFETIME};

/// A node as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What is registered.
    pub registration: Registration,
    /// When it was registered.
    pub registered: UnixTime,
    /// By whom, in the words of the journal.
    pub registered_by: String,
    /// How it stands.
    pub state: NodeState,
    /// Its youngest certificate, if it has one.
    pub certificate: Option<Serial>,
    /// When and by whom it was deleted, if it was.
    pub deleted: Option<Deleted>,
}

/// How a node stands; its youngest certificate decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It has a certificate.
    Certified,
    /// It is no node any more.
    Deleted,
    /// The time of its certificate is over.
    Expired,
    /// It never had a certificate.
    Registered,
    /// Its certificate was revoked.
    Revoked,
}

impl NodeState {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certified => "certified",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Registered => "registered",
            Self::Revoked => "revoked",
        }
    }
}

/// One page of nodes, by common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePage {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Where the next page begins: after this one.
    pub next: Option<CommonName>,
}

/// Whether deleted nodes are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedOnes {
    /// They are.
    Included,
    /// They are not.
    LeftOut,
}

/// Most nodes on one page: each takes two reads more.
pub const MOST: usize = 500;

/// Certificates of a node that are revoked in one step.
const STEP: usize = 500;

impl Services {
    /// A page of nodes after that one.
    pub fn nodes(
        &self,
        _permitted: &Permitted,
        after: Option<&CommonName>,
        limit: usize,
        deleted: DeletedOnes,
    ) -> Result<NodePage, Failure> {
        let limit = limit.clamp(1, MOST);
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str().as_bytes()));
        // One more than asked for tells whether there is a next page.
        let rows = self.store.scan(&NODES, (from, Bound::Unbounded), limit + 1, false)?;
        let next = rows.get(limit - 1).filter(|_| rows.len() > limit).map(|(_, row)| row.value.common_name().clone());
        let listed = rows.into_iter().take(limit).map(|(_, row)| row.value);
        let listed = listed.filter(|node| deleted == DeletedOnes::Included || node.deleted.is_none());
        let nodes = listed.map(|node| self.node_now(node)).collect::<Result<_, _>>()?;
        Ok(NodePage { nodes, next })
    }

    /// The node of that name.
    pub fn node(&self, _permitted: &Permitted, name: &CommonName) -> Result<Node, Failure> {
        let row = self.store.get(&NODES, name.as_str())?.ok_or_else(|| missing(name))?;
        Ok(self.node_now(row.value)?)
    }

    /// Registers a node: journalled, then in the store.
    pub async fn register_node(&self, permitted: &Permitted, registration: Registration) -> Result<Node, Failure> {
        let name = registration.common_name.clone();
        self.registrable(&registration)?;
        let before = self.store.get(&NODES, name.as_str())?;
        if before.as_ref().is_some_and(|row| row.value.deleted.is_none()) {
            return Err(Failure::Conflict(format!("the node `{name}` is registered already: delete or change it")));
        }
        let id = Id::random(&self.random).map_err(|error| Failure::Internal(error.to_string()))?.to_string();
        let record = NodeRecord {
            id,
            registration: registration.clone(),
            registered: self.clock.now(),
            registered_by: permitted.actor().who,
            deleted: None,
        };
        self.store_node(permitted, before, &record).await?;
        tracing::info!(who = permitted.actor().who, node = %name, "node registered");
        Ok(self.node_now(record)?)
    }

    /// Changes what is registered of a node: journalled, then in the store. What was signed stays.
    pub async fn change_node(&self, permitted: &Permitted, registration: Registration) -> Result<Node, Failure> {
        let name = registration.common_name.clone();
        self.registrable(&registration)?;
        let before = self.active_node(&name)?.ok_or_else(|| missing(&name))?;
        let record = NodeRecord { registration: registration.clone(), ..before.value.clone() };
        self.store_node(permitted, Some(before), &record).await?;
        tracing::info!(who = permitted.actor().who, node = %name, "what is registered of a node was changed");
        Ok(self.node_now(record)?)
    }

    /// Deletes a node: journalled, then nothing is signed for it any more, and what was signed is
    /// revoked (cessationOfOperation). Says how many certificates were. Can be repeated.
    pub async fn delete_node(&self, permitted: &Permitted, name: &CommonName) -> Result<usize, Failure> {
        let row = self.store.get(&NODES, name.as_str())?.ok_or_else(|| missing(name))?;
        let was_deleted = row.value.deleted.is_some();
        if !was_deleted {
            self.ca.note(Act::DeleteNode { node: name.clone() }, permitted.actor()).await?;
            let deleted = Some(Deleted { at: self.clock.now(), by: permitted.actor().who });
            let mut change = Change::new();
            if let Some(account) = &row.value.registration.account {
                change.delete(&NODES_BY_ACCOUNT, account.as_str());
            }
            change.update(&NODES, name.as_str(), row.version, &NodeRecord { deleted, ..row.value });
            self.store.commit(change).await?;
        }
        let revoked = self.revoke_all(permitted, name).await?;
        if was_deleted && revoked == 0 {
            return Err(missing(name));
        }
        tracing::info!(who = permitted.actor().who, node = %name, revoked, "node deleted");
        Ok(revoked)
    }

    /// The node at the other end of a connection, if it shows a certificate of a node that is good now.
    pub fn node_of(&self, peer: &Peer) -> Result<Option<Node>, StoreError> {
        let now = self.clock.now();
        let Some(shown) = peer.certificate.as_ref().filter(|shown| shown.validity.contains(now)) else {
            return Ok(None);
        };
        let Some(serial) = shown.serial else { return Ok(None) };
        let Some(row) = self.store.get(&CERTIFICATES, serial.as_bytes())? else { return Ok(None) };
        // Another certificate with the same serial number is one of another CA's.
        if row.value.revoked.is_some() || fingerprint(&row.value) != shown.fingerprint {
            return Ok(None);
        }
        let Some(name) = row.value.record.node.as_deref().and_then(|name| CommonName::parse(name).ok()) else {
            return Ok(None);
        };
        self.active_node(&name)?.map(|row| self.node_now(row.value)).transpose()
    }

    /// The node whose own ACME account has a key with this thumbprint.
    pub(super) fn node_of_account(&self, thumbprint: &str) -> Result<Option<Node>, StoreError> {
        let Some(name) = self.store.get(&NODES_BY_ACCOUNT, thumbprint)? else { return Ok(None) };
        self.active_node(&name.value)?.map(|row| self.node_now(row.value)).transpose()
    }

    /// The registration of a node, unless it is deleted.
    pub(super) fn registration(&self, name: &str) -> Result<Option<Registration>, StoreError> {
        let Ok(name) = CommonName::parse(name) else { return Ok(None) };
        Ok(self.active_node(&name)?.map(|row| row.value.registration))
    }

    /// Whether anything can ever come of a registration.
    fn registrable(&self, registration: &Registration) -> Result<(), Failure> {
        let profiles = self.profiles.now();
        let Some(profile) = profiles.get(&registration.profile) else {
            return Err(Failure::Conflict(format!("there is no profile `{}`", registration.profile)));
        };
        if !profile.takes(Method::Registration) {
            return Err(Failure::Conflict(format!(
                "the profile `{}` does not take a registration as a proof: add \"registration\" to its `[evidence] \
                 methods`, or name another profile",
                profile.name()
            )));
        }
        if profile.needs_approval() {
            return Err(Failure::Conflict(format!(
                "the certificates of the profile `{}` wait for an approval, and a node cannot: name another profile",
                profile.name()
            )));
        }
        if let Some(name) = registration.common_name.name() {
            profile.allows_name(&name).map_err(|refusal| Failure::Conflict(refusal.why))?;
        }
        Ok(())
    }

    async fn store_node(
        &self,
        permitted: &Permitted,
        before: Option<Versioned<NodeRecord>>,
        record: &NodeRecord,
    ) -> Result<(), Failure> {
        let (registration, name) = (&record.registration, record.common_name());
        let mut change = Change::new();
        let had = before.as_ref().and_then(|row| row.value.registration.account.as_ref());
        if let Some(had) = had.filter(|had| registration.account.as_ref() != Some(had)) {
            change.delete(&NODES_BY_ACCOUNT, had.as_str());
        }
        if let Some(account) = &registration.account {
            match self.store.get(&NODES_BY_ACCOUNT, account.as_str())? {
                Some(owner) if owner.value == *name => {}
                Some(owner) => {
                    let why = format!("the ACME account is the node `{}`'s: name another account", owner.value);
                    return Err(Failure::Conflict(why));
                }
                None => change.insert(&NODES_BY_ACCOUNT, account.as_str(), name),
            }
        }
        match &before {
            Some(row) => change.update(&NODES, name.as_str(), row.version, record),
            None => change.insert(&NODES, name.as_str(), record),
        }
        self.ca.note(Act::RegisterNode { registration: registration.clone() }, permitted.actor()).await?;
        Ok(self.store.commit(change).await?)
    }

    /// Revokes what a node has, expired certificates aside.
    async fn revoke_all(&self, permitted: &Permitted, name: &CommonName) -> Result<usize, Failure> {
        // One that was journalled a moment ago is known.
        self.ca.catch_up().await.map(drop)?;
        let (prefix, end) = (node_key(name, 0), node_key(name, 1));
        let mut from = Bound::Included(prefix);
        let mut revoked = 0;
        loop {
            let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(end.as_slice()));
            let rows = self.store.scan(&CERTIFICATES_BY_NODE, range, STEP, false)?;
            let Some((last, _)) = rows.last() else { return Ok(revoked) };
            from = Bound::Excluded(last.clone());
            let mut serials = Vec::new();
            for (key, _) in &rows {
                let Some(row) = self.store.get(&CERTIFICATES, &key[key.len() - 20..])? else { continue };
                let certificate = row.value;
                let is_over = expiry(&certificate).is_some_and(|end| end < self.clock.now());
                if certificate.revoked.is_none() && !is_over && certificate.issuer == self.issuer_key {
                    serials.push(certificate.serial);
                }
            }
            if !serials.is_empty() {
                let deed = Deed::Revoke { reason: Some(CESSATION_OF_OPERATION), invalidity: None };
                revoked += self.act(permitted, &serials, deed).await?;
            }
        }
    }

    fn active_node(&self, name: &CommonName) -> Result<Option<Versioned<NodeRecord>>, StoreError> {
        Ok(self.store.get(&NODES, name.as_str())?.filter(|row| row.value.deleted.is_none()))
    }

    fn node_now(&self, record: NodeRecord) -> Result<Node, StoreError> {
        let youngest = self.youngest(&record)?;
        let state = match &youngest {
            _ if record.deleted.is_some() => NodeState::Deleted,
            None => NodeState::Registered,
            Some(certificate) if certificate.revoked.is_some() => NodeState::Revoked,
            Some(certificate) if expiry(certificate).is_none_or(|end| end < self.clock.now()) => NodeState::Expired,
            Some(_) => NodeState::Certified,
        };
        Ok(Node {
            registration: record.registration,
            registered: record.registered,
            registered_by: record.registered_by,
            state,
            certificate: youngest.map(|certificate| certificate.serial),
            deleted: record.deleted,
        })
    }

    /// The youngest certificate of a node, not of another one of that name before it.
    fn youngest(&self, record: &NodeRecord) -> Result<Option<CertificateRecord>, StoreError> {
        let (prefix, end) = (node_key(record.common_name(), 0), node_key(record.common_name(), 1));
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let rows = self.store.scan(&CERTIFICATES_BY_NODE, range, 1, true)?;
        let Some((key, _)) = rows.first() else { return Ok(None) };
        let row = self.store.get(&CERTIFICATES, &key[key.len() - 20..])?;
        Ok(row.map(|row| row.value).filter(|certificate| certificate.at >= record.registered))
    }
}

impl NodeRecord {
    fn common_name(&self) -> &CommonName {
        &self.registration.common_name
    }
}

impl Node {
    /// Whether the node may have a certificate for `name`.
    pub fn covers(&self, name: &Name) -> bool {
        self.registration.covers(name)
    }
}

/// cessationOfOperation, RFC 5280 section 5.3.1.
const CESSATION_OF_OPERATION: u8 = 5;

/// Bounds of what [`CERTIFICATES_BY_NODE`] and [`SEEDS_BY_NODE`](records::SEEDS_BY_NODE) have of a node.
fn node_key(name: &CommonName, separator: u8) -> Vec<u8> {
    [name.as_str().as_bytes(), &[separator]].concat()
}

fn expiry(certificate: &CertificateRecord) -> Option<UnixTime> {
    let parsed = policy::tbs::Certificate::from_der(&certificate.certificate).ok()?;
    Some(parsed.validity().not_after())
}

fn fingerprint(certificate: &CertificateRecord) -> String {
    let parsed = policy::tbs::Certificate::from_der(&certificate.certificate);
    parsed.map(|parsed| super::peer::hex(&parsed.sha256())).unwrap_or_default()
}

fn missing(name: &CommonName) -> Failure {
    Failure::Missing(format!("no node is called `{name}`"))
}
