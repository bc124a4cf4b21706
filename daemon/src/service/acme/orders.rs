//! Orders (RFC 8555 sections 7.1.3 and 7.4).

use std::net::IpAddr;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::name::Name;
use policy::profile::Profile;
use policy::validity::Requested;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::accounts::Account;
use super::eab::Charge;
use super::error::AcmeError;
use super::identifiers::{Identifier, cut};
use super::records::{AuthorizationRecord, AuthorizationStatus, Challenge, ChallengeState};
use super::tables::{ACCOUNT_ORDERS, AUTHORIZATIONS, ORDERS_BY_END};
use super::{Acme, Id};
use crate::config::Switch;
use crate::issuance::orders::{ORDERS, OrderFailure, OrderRecord};
use crate::service::limits::{Ordered, Replaces};
use crate::service::nodes::Node;
use crate::store::{Change, CommitError, Versioned};
use crate::validation::{Failure, Wildcard};

/// A valid authorization is reused for a new order only if it lasts this much longer: time to
/// finalize the order.
const REUSE_MARGIN: u64 = 600;

/// What newOrder asks for.
#[derive(Clone, Debug, Default)]
pub struct NewOrder {
    /// The identifiers, as they were sent.
    pub identifiers: Vec<Identifier>,
    /// From where it is asked, if over a network.
    pub from: Option<IpAddr>,
    /// The node that asks, if it is one.
    pub node: Option<Node>,
    /// The profile, if one was named.
    pub profile: Option<String>,
    /// The certificate that it replaces, if one was named (RFC 9773 section 5).
    pub replaces: Option<String>,
    /// The ends of the validity, where they were chosen.
    pub requested: Requested,
}

/// An order as its owner sees it now.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: OrderRecord,
    /// Where it is in the state machine.
    pub status: OrderStatus,
}

/// A page of orders.
#[derive(Clone, Debug)]
pub struct OrderPage {
    /// Their ids.
    pub orders: Vec<String>,
    /// Where the next page begins: after this id.
    pub next: Option<String>,
}

/// Orders in a page. Each may take [`MAX_NAMES`](super::identifiers::MAX_NAMES) reads, and reading
/// holds up the thread.
const PAGE: usize = 10;

/// Where an order is in the state machine of RFC 8555 section 7.1.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Something is to be validated.
    Pending,
    /// Everything is validated.
    Ready,
    /// It was finalized, and the certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// It cannot be completed any more.
    Invalid(WhyInvalid),
}

/// Why an order cannot be completed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyInvalid {
    /// An authorization was given up, or ended.
    Authorization(Name),
    /// Challenges failed, each for its reason.
    Challenges(Vec<(Name, Failure)>),
    /// It was not completed in time.
    Expired,
    /// The certificate could not be made, or an administrator cancelled it.
    Failed(OrderFailure),
}

/// An order and its authorizations, one a name; none where it is gone.
pub(super) type Read = (Order, Vec<Option<AuthorizationRecord>>);

impl Acme {
    /// Makes an order. Names that the account has shown control of before need no new challenge.
    pub async fn new_order(&self, account: &Account, wish: NewOrder) -> Result<Order, AcmeError> {
        let profile = &*self.ordered_profile(wish.profile.as_deref(), wish.node.as_ref())?;
        let names = self.orderable(&wish.identifiers, profile)?;
        self.within_bounds(account, &names, Some(profile.name()))?;
        let now = self.now();
        profile
            .allows_validity(wish.requested, self.services.issuer.now().validity(), now)
            .map_err(|refusal| AcmeError::Malformed(refusal.why))?;
        let mut change = Change::new();
        let id = Id::random(&self.services.random)?.to_string();
        if let Some(replaced) = &wish.replaces {
            self.replace(&mut change, account, &id, replaced, &names)?;
        }
        // An order that outlives the profile's patience with its proofs would be ready and refused.
        let oldest = profile.max_evidence_age();
        let mut expires = now.plus(self.services.acme.order_lifetime.as_secs().min(oldest));
        let mut status = OrderStatus::Ready;
        let mut authorizations = Vec::with_capacity(names.len());
        let mut node = None;
        for name in &names {
            if Self::is_registered(wish.node.as_ref(), name, profile) {
                node = wish.node.as_ref().map(|node| node.registration.common_name.to_string());
                authorizations.push(self.add_registered(&mut change, account, name, profile)?);
                continue;
            }
            match self.reusable(account, name, profile, now)? {
                Some((id, last)) => {
                    expires = expires.min(last);
                    authorizations.push(id);
                }
                None => {
                    status = OrderStatus::Pending;
                    let methods = self.challenges(name, profile);
                    let made = self.add_authorization(&mut change, account, name, Some(profile), &methods)?;
                    authorizations.push(made.0);
                }
            }
        }
        let ordered = Ordered {
            account: &account.id,
            limits: self.rate_limits(account)?,
            from: wish.from,
            names: &names,
            replaces: if wish.replaces.is_some() { Replaces::Certificate } else { Replaces::Nothing },
        };
        self.services.limits.new_order(&ordered, now)?;
        let record = OrderRecord {
            account: account.id.clone(),
            created: now,
            expires,
            profile: profile.name().to_owned(),
            names,
            requested: wish.requested,
            replaces: wish.replaces,
            node,
            authorizations,
            certificate: None,
            failed: None,
            processing: None,
        };
        change.insert(&ORDERS, &id, &record);
        change.put(&ACCOUNT_ORDERS, format!("{}/{id}", account.id), &());
        change.put(&ORDERS_BY_END, by_end(expires, &id), &());
        self.charge(account, Charge::Order).await?;
        match self.services.store.commit(change).await {
            Ok(()) => {
                self.services.metrics.acme.order_created();
                Ok(Order { id, record, status })
            }
            Err(CommitError::Conflict(_)) if record.replaces.is_some() => Err(AcmeError::AlreadyReplaced),
            Err(error) => Err(error.into()),
        }
    }

    /// The order of that id, for its owner. While it is being finalized, waits for the outcome, or
    /// until it is seen to be processing.
    pub async fn order(&self, account: &Account, id: &str) -> Result<Order, AcmeError> {
        loop {
            let under_way = self.finalizing.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
            let settled = match under_way {
                None => true,
                Some(lock) => {
                    self.read_order(account, id)?;
                    timeout(self.services.acme.orders.finalize_patience, lock.lock()).await.is_ok()
                }
            };
            let (order, _) = self.read_order(account, id)?;
            // One that is ready may be processing in a moment: that is not for the client to see.
            if settled || order.status != OrderStatus::Ready {
                return Ok(order);
            }
        }
    }

    /// A page of the account's orders that are not invalid (RFC 8555 section 7.1.2.1), after the
    /// order with that id.
    pub fn orders(&self, account: &Account, after: Option<&str>) -> Result<OrderPage, AcmeError> {
        let (ids, next) = self.orders_of(&account.id, after, PAGE)?;
        let mut orders = Vec::with_capacity(ids.len());
        for id in ids {
            // One that was removed meanwhile is not listed.
            let Some((order, _)) = self.find_order(&id)? else { continue };
            if !matches!(order.status, OrderStatus::Invalid(_)) {
                orders.push(id);
            }
        }
        Ok(OrderPage { orders, next })
    }

    /// A page of the ids of an account's orders, and where the next page begins.
    pub(super) fn orders_of(
        &self,
        account: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, Option<String>), AcmeError> {
        let (prefix, end) = (format!("{account}/"), format!("{account}0"));
        let from = after.map(|id| format!("{prefix}{}", cut(id, 64)));
        let from = from.as_ref().map_or(Bound::Included(prefix.as_bytes()), |key| Bound::Excluded(key.as_bytes()));
        let rows = self.services.store.scan(&ACCOUNT_ORDERS, (from, Bound::Excluded(end.as_bytes())), limit, false)?;
        let ids: Vec<String> =
            rows.iter().filter_map(|(key, _)| String::from_utf8(key[prefix.len()..].to_vec()).ok()).collect();
        let next = ids.last().filter(|_| ids.len() == limit).cloned();
        Ok((ids, next))
    }

    /// The order and, unless it is complete, its authorizations, in the order of its names.
    pub(super) fn read_order(&self, account: &Account, id: &str) -> Result<Read, AcmeError> {
        let read = self.find_order(id)?.ok_or(AcmeError::NotFound("order"))?;
        if read.0.record.account != account.id {
            return Err(AcmeError::Unauthorized("the order belongs to another account".into()));
        }
        Ok(read)
    }

    /// The order of that id, whoever asks.
    pub(super) fn find_order(&self, id: &str) -> Result<Option<Read>, AcmeError> {
        let Some(Versioned { value: record, .. }) = self.services.store.get(&ORDERS, id)? else { return Ok(None) };
        let mut authorizations = Vec::new();
        if record.certificate.is_none() {
            for id in &record.authorizations {
                authorizations.push(self.services.store.get(&AUTHORIZATIONS, id)?.map(|row| row.value));
            }
        }
        let status = status(&record, &authorizations, self.now());
        Ok(Some((Order { id: id.to_owned(), record, status }, authorizations)))
    }

    /// Takes the order for oneself until the guard is dropped.
    pub(super) async fn lock_order(self: &Arc<Self>, id: &str) -> OrderGuard {
        let lock = {
            let mut finalizing = self.finalizing.lock().unwrap_or_else(PoisonError::into_inner);
            finalizing.entry(id.to_owned()).or_insert_with(|| Arc::new(AsyncMutex::new(()))).clone()
        };
        OrderGuard { _held: Some(lock.lock_owned().await), acme: self.clone(), id: id.to_owned() }
    }

    /// The profile that is asked for, or the default one.
    pub(super) fn profile(&self, wish: Option<&str>) -> Result<Arc<Profile>, AcmeError> {
        let offer = &self.services.acme;
        let name = wish.unwrap_or(&offer.default_profile);
        if offer.profiles.iter().any(|profile| profile == name)
            && let Some(profile) = self.services.profiles.now().get(name)
        {
            return Ok(Arc::clone(profile));
        }
        Err(AcmeError::InvalidProfile(format!(
            "the profile `{}` is not offered: use one of {}",
            cut(name, 64),
            offer.profiles.join(", ")
        )))
    }

    /// The account's authorization for `name`, if an order for this profile can use it, and the last
    /// second in which it can.
    fn reusable(
        &self,
        account: &Account,
        name: &Name,
        profile: &Profile,
        now: UnixTime,
    ) -> Result<Option<(String, UnixTime)>, AcmeError> {
        if self.services.acme.orders.reuse_authorizations == Switch::Off {
            return Ok(None);
        }
        let needed = now.plus(REUSE_MARGIN);
        let Some((id, record)) = self.authorized(&account.id, name, needed)? else { return Ok(None) };
        let Some(proof) = &record.proof else { return Ok(None) };
        let last = record.expires.min(proof.at.plus(profile.max_evidence_age()));
        let good = last >= needed && profile.allows_method(name, proof.method).is_ok();
        Ok(good.then_some((id, last)))
    }

    /// Adds a pending authorization for `name`, which may be a wildcard, to the change.
    pub(super) fn add_authorization(
        &self,
        change: &mut Change,
        account: &Account,
        name: &Name,
        profile: Option<&Profile>,
        methods: &[Method],
    ) -> Result<(String, AuthorizationRecord), AcmeError> {
        self.services.limits.may_validate(&account.id, name, self.now())?;
        let id = Id::random(&self.services.random)?.to_string();
        let challenge = |method: &Method| {
            let token = match method {
                Method::DnsPersist01 => String::new(),
                _ => Token::random(&self.services.random)?,
            };
            Ok(Challenge { method: *method, token, state: ChallengeState::Pending })
        };
        let record = AuthorizationRecord {
            account: account.id.clone(),
            name: name.base(),
            wildcard: if name.is_wildcard() { Wildcard::Yes } else { Wildcard::No },
            profile: profile.map(|profile| profile.name().to_owned()),
            expires: self.now().plus(self.services.acme.authorization_lifetime.as_secs()),
            status: AuthorizationStatus::Pending,
            challenges: methods.iter().map(challenge).collect::<Result<_, AcmeError>>()?,
            proof: None,
        };
        change.insert(&AUTHORIZATIONS, &id, &record);
        self.note_authorization(change, &id, &record);
        Ok((id, record))
    }
}

/// Holds an order; while it is there, nobody else finalizes it.
pub(super) struct OrderGuard {
    _held: Option<OwnedMutexGuard<()>>,
    acme: Arc<Acme>,
    id: String,
}

impl Drop for OrderGuard {
    fn drop(&mut self) {
        let mut finalizing = self.acme.finalizing.lock().unwrap_or_else(PoisonError::into_inner);
        self._held = None;
        // The map's own reference is the last one if nobody waits.
        if finalizing.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            finalizing.remove(&self.id);
        }
    }
}

/// What the status of an order is at `now`. Its certificate decides; else what is kept of its
/// outcome, else its expiry, else its authorizations.
fn status(order: &OrderRecord, authorizations: &[Option<AuthorizationRecord>], now: UnixTime) -> OrderStatus {
    if order.certificate.is_some() {
        return OrderStatus::Valid;
    }
    if let Some(failure) = &order.failed {
        return OrderStatus::Invalid(WhyInvalid::Failed(failure.clone()));
    }
    if order.processing.is_some() {
        return OrderStatus::Processing;
    }
    if now > order.expires {
        return OrderStatus::Invalid(WhyInvalid::Expired);
    }
    let mut status = OrderStatus::Ready;
    let mut failures = Vec::new();
    for (name, authorization) in order.names.iter().zip(authorizations) {
        let ended = || OrderStatus::Invalid(WhyInvalid::Authorization(name.clone()));
        // One that is gone was over long ago.
        let Some(record) = authorization else { return ended() };
        match record.status {
            AuthorizationStatus::Invalid => {
                failures.extend(record.challenges.iter().filter_map(|challenge| match &challenge.state {
                    ChallengeState::Invalid { error } => Some((name.clone(), error.clone())),
                    _ => None,
                }));
            }
            AuthorizationStatus::Deactivated | AuthorizationStatus::Revoked => return ended(),
            _ if now > record.expires => return ended(),
            AuthorizationStatus::Pending => status = OrderStatus::Pending,
            AuthorizationStatus::Valid => {}
        }
    }
    if failures.is_empty() { status } else { OrderStatus::Invalid(WhyInvalid::Challenges(failures)) }
}

/// A key of the tables that are ordered by the time from which nobody needs an entry.
pub(super) fn by_end(end: UnixTime, id: &str) -> Vec<u8> {
    [&end.0.to_be_bytes(), id.as_bytes()].concat()
}

/// Tokens of challenges: 256 random bits, base64url (RFC 8555 section 8.1).
struct Token;

impl Token {
    fn random(random: &super::Random) -> Result<String, policy::effects::EntropyError> {
        use base64::Engine as _;
        Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random.bytes::<32>()?))
    }
}
